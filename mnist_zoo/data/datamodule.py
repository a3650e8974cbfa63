"""The LightningDataModule of every data set of the zoo."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from mnist_zoo.data import sources
from mnist_zoo.data.arguments import require_bool, require_folds, require_integer, require_number
from mnist_zoo.data.augment import Augment
from mnist_zoo.data.batches import Batches
from mnist_zoo.data.filters import apply_filters, check_filters
from mnist_zoo.data.fingerprint import fingerprint_of
from mnist_zoo.data.split import stratified_fold, stratified_split
from mnist_zoo.errors import InputError, unknown
from mnist_zoo.registry import is_plain, plain
from mnist_zoo.splits import SPLITS

EVAL_BATCH_SIZE = 500  # images of 28x28, fewer of larger ones; metrics do not depend on it
SMALLEST_EVAL_BATCH = 32  # images
MOST_IMAGES = 2**31 - 1
COUNTED = 1 << 20  # pixels of which a histogram is made at once; torch copies them as int64


class MNISTDataModule(pl.LightningDataModule):
    """MNIST-sized images in memory, split and scaled, as batches on the device that trains.

    Batches are float32 ``(B, C, H, W)`` and int64 ``(B,)``. The loaders are `Batches`, not ``DataLoader``. A checkpoint
    keeps the position within the epoch, and training resumes there.

    Args:
        data: a name in `list_datasets`.
        root: folder of torchvision's files, to which missing ones are downloaded; for ``folder`` the folder of the
            images, for ``npz`` the file.
        batch_size: training images of a batch, over all processes.
        seed: of the order and the augmentation of the training images. The split has a seed of its own.
        val_size: validation images: a count (int), or a share of the training images (float below 1).
        split_seed: of the stratified train/validation split, which is therefore the same for all models and seeds.
        folds: number of stratified folds into which the training images are divided, with `split_seed`; `val_size` is
            not used then. Runs on all folds predict every training image once without having trained on it.
        fold: which fold is the validation split, counted from 0.
        train_fraction: share of the training split to keep, stratified. Validation and test split stay whole.
        epoch_images: training images of an epoch, the same for any number of images: few are repeated, each time in
            another order, so that runs on different shares of the data take equally many steps. None: each image once.
        normalize: scale to mean 0 and standard deviation 1 of the training split; if False, to 0-1.
        filters: ``{"blur": times, "sharpen": bool, "width": pixels}``, applied to all splits (see `apply_filters`).
        augment: ``none``, ``affine``, ``photo``, ``thesis``, the name of a registered augmentation such as ``mixup``,
            or a dict of the attributes of `Augment` and, with ``name``, a registered augmentation's options; for
            training batches.
        fallback: data set to use if `data` is neither on disk nor can be downloaded; None raises an error instead.
        **options: options of the data set: ``train_csv`` and ``test_csv`` for ``csv``; ``image_size`` and ``channels``
            for ``folder``. Arrays and other objects are not kept in checkpoints.

    Attributes:
        device: where the batches of a loop without a Trainer are; the CPU at first.

    Raises:
        InputError: unknown names, values of a wrong type or out of range, damaged files, or a split that is empty.
        StorageError: if files cannot be downloaded because `root` cannot be written.

    Example:
        >>> from mnist_zoo import MNISTDataModule
        >>> data = MNISTDataModule("mnist5k", batch_size=32, augment="affine")
        >>> images, labels = next(iter(data.train_dataloader()))
        >>> images.shape, images.dtype, labels.dtype
        (torch.Size([32, 1, 28, 28]), torch.float32, torch.int64)
        >>> data.class_counts["test"]
        [100, 100, 100, 100, 100, 100, 100, 100, 100, 100]
    """

    def __init__(
        self,
        data: str = "mnist",
        *,
        root: str | Path = "data",
        batch_size: int = 64,
        seed: int = 0,
        val_size: int | float = 1 / 12,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        train_fraction: float = 1.0,
        epoch_images: int | None = None,
        normalize: bool = True,
        filters: dict | None = None,
        augment: str | dict | None = "none",
        fallback: str | None = None,
        **options: Any,
    ):
        super().__init__()
        # Plain values only, so that a checkpoint can be read again (at the end, for root and options).
        val_size, train_fraction, filters, augment = map(plain, (val_size, train_fraction, filters, augment))
        require_integer("batch_size", batch_size, 1, MOST_IMAGES)
        require_integer("seed", seed, 0, 2**32 - 1)
        require_integer("split_seed", split_seed, 0, 2**32 - 1)  # None would draw another split in each run
        require_number("val_size", val_size, 0, MOST_IMAGES)
        require_folds(folds, fold)
        require_number("train_fraction", train_fraction, 0, 1, above=True)
        if epoch_images is not None:
            require_integer("epoch_images", epoch_images, 1, MOST_IMAGES)
        require_bool("normalize", normalize)
        check_filters(filters or {})
        if not isinstance(root, (str, Path)) or not str(root):
            raise InputError(f"root={root!r}: it must be a path")
        if fallback is not None and fallback not in sources.list_datasets():
            raise unknown("fallback", fallback, sources.list_datasets())
        self.name: str = data  # becomes the fallback's name if that is used
        self.root, self.options, self.fallback = Path(root).expanduser(), options, fallback
        self.batch_size, self.seed = batch_size, seed
        self.val_size, self.split_seed, self.train_fraction = val_size, split_seed, train_fraction
        self.folds, self.fold, self.epoch_images = folds, fold, epoch_images
        self.normalize, self.filters = normalize, dict(filters or {})
        self.augment = Augment.from_config(augment)
        self.device = torch.device("cpu")
        self._start = 0  # batch that the next training loader starts with
        self._train_batches: Batches | None = None
        self._splits: dict[str, tuple[Tensor, Tensor, np.ndarray]] = {}
        kept = {key: plain(value) for key, value in options.items() if not getattr(value, "ndim", 0)}  # no images
        root, options = str(root), {key: value for key, value in kept.items() if is_plain(value)}
        self.save_hyperparameters()

    def prepare_data(self) -> None:
        """Download what is missing (Lightning calls this in one process)."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load, filter and split the images, once.

        Training starts at the beginning of an epoch, unless a checkpoint is restored after this.
        """
        if stage == "fit":  # a checkpoint that was tested may have set it
            self._start = 0
        if self._splits:
            return
        data = self._load()
        self._class_names, self._label_parts = tuple(data.class_names), data.parts
        rest, val = self._split(data.train_labels)
        images, labels = _tensors(data.train_images, data.train_labels)
        test_images, test_labels = _tensors(data.test_images, data.test_labels)
        images, test_images = apply_filters(images, **self.filters), apply_filters(test_images, **self.filters)
        self._images_fingerprint = fingerprint_of([(images, labels), (test_images, test_labels)])
        self._splits = {
            "train": (images[rest], labels[rest], rest),
            "val": (images[val], labels[val], val),
            "test": (test_images, test_labels, np.arange(len(test_labels))),
        }
        self.mean, self.std = _mean_and_std(self._splits["train"][0]) if self.normalize else (0.0, 1.0)

    def _load(self) -> sources.ImageSet:
        try:
            return sources.load(self.name, self.root, self.options)
        except sources.DataUnavailable as error:
            if self.fallback is None:
                raise
            warnings.warn(f"{error}; continuing with data={self.fallback}, which is another data set", stacklevel=2)
            self.name = str(self.fallback)
            return sources.load(self.name, self.root, {})

    def _split(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest, val = self._validation(labels)
        if self.train_fraction < 1:
            keep = max(1, round(self.train_fraction * len(rest)))
            rest = rest[stratified_split(labels[rest], keep, self.split_seed)[1]]
        return rest, val

    def _validation(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the images that are not for validation, and of those that are."""
        if self.folds is not None and self.fold is not None:
            if self.folds > len(labels):
                raise InputError(f"folds={self.folds}: there are only {len(labels)} training images")
            return stratified_fold(labels, self.folds, self.fold, self.split_seed)
        count = self.val_size if isinstance(self.val_size, int) else round(self.val_size * len(labels))
        if not 1 <= count < len(labels):
            raise InputError(
                f"val_size={self.val_size} takes {count} of {len(labels)} images: at least one image must be left for "
                f"training and one for validation (give a count, or a share below 1)"
            )
        return stratified_split(labels, count, self.split_seed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        self.setup()
        return self._class_names

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    @property
    def label_parts(self) -> tuple[int, ...]:
        """Numbers of values of the parts of a label (see `ImageSet`); empty if labels have no parts."""
        self.setup()
        return self._label_parts

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of every image."""
        channels, height, width = self.images("train").shape[1:]
        return channels, height, width

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """Number of images of each class, in label order, for ``train``, ``val`` and ``test``."""
        return {split: self.labels(split).bincount(minlength=self.num_classes).tolist() for split in SPLITS}

    def images(self, split: str) -> Tensor:
        """Return the images of ``train``, ``val`` or ``test``: uint8 ``(N, C, H, W)``, filtered, on the CPU."""
        return self._of(split)[0]

    def labels(self, split: str) -> Tensor:
        """Return the labels of ``train``, ``val`` or ``test``: int64 ``(N,)``, on the CPU."""
        return self._of(split)[1]

    def places(self, split: str) -> np.ndarray:
        """Return the numbers, ``(N,)`` and counted from 0, that the images of a split have in the data set's own order.

        Those of ``train`` and ``val`` count the training images, those of ``test`` the test images.
        """
        return self._of(split)[2]

    def _of(self, split: str) -> tuple[Tensor, Tensor, np.ndarray]:
        self.setup()
        if split not in self._splits:
            raise unknown("split", split, SPLITS)
        return self._splits[split]

    def denormalize(self, images: Tensor) -> Tensor:
        """Map the float images of a batch back to brightness 0-1, for plots."""
        self.setup()
        return (images * self.std + self.mean).clamp(0, 1)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change if an image, a label or the split changes."""
        return fingerprint_of([(self.images(split), self.labels(split)) for split in SPLITS])

    @property
    def images_fingerprint(self) -> str:
        """16 hexadecimal digits that change if an image or a label changes, but not if the split does."""
        self.setup()
        return self._images_fingerprint

    def train_dataloader(self) -> Batches:
        """Return the training images as shuffled, augmented batches."""
        world_size = self.trainer.world_size if self.trainer else 1
        if self.batch_size % world_size:
            raise InputError(f"batch_size={self.batch_size} cannot be shared by {world_size} processes: use a multiple")
        batches = self._batches(
            "train",
            self.batch_size,
            shuffle=True,
            count=self.epoch_images,
            seed=self.seed,
            augment=self.augment,
        )
        batches.start_at(self._start)
        self._start, self._train_batches = 0, batches
        return batches

    def val_dataloader(self) -> Batches:
        """Return the validation images in order, without augmentation."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> Batches:
        """Return the test images in order, without augmentation."""
        return self.eval_dataloader("test")

    def predict_dataloader(self) -> list[Batches]:
        """Return loaders of ``train``, ``val`` and ``test``, in order, without augmentation."""
        return [self.eval_dataloader(split) for split in SPLITS]

    def eval_dataloader(self, split: str) -> Batches:
        """Return the images of ``train``, ``val`` or ``test`` in order, without augmentation."""
        world_size = self.trainer.world_size if self.trainer else 1
        _, height, width = self.image_shape
        size = min(EVAL_BATCH_SIZE, max(SMALLEST_EVAL_BATCH, EVAL_BATCH_SIZE * 28 * 28 // (height * width)))
        return self._batches(split, size * world_size)

    def _batches(self, split: str, batch_size: int, **options: Any) -> Batches:
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer else self.device
        images, labels = (tensor.to(device) for tensor in self._of(split)[:2])
        return Batches(
            images,
            labels,
            batch_size,
            scale=1 / (255 * self.std),
            shift=-self.mean / self.std,
            classes=self.num_classes,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            **options,
        )

    def state_dict(self) -> dict:
        """Return what a checkpoint keeps: how to prepare images for the network, and the position within the epoch.

        ``position`` holds ``batch``, the number of batches that the epoch has handed out, and ``of``, the number of
        items (batches, or lists of batches) that Lightning counts in an epoch.
        """
        self.setup()
        return {
            "data": self.name,
            "image_shape": list(self.image_shape),
            "mean": self.mean,
            "std": self.std,
            "class_names": list(self.class_names),
            "position": self._position(),
        }

    def _position(self) -> dict[str, int]:
        """Return the position within the epoch of the loader that the Trainer trains with."""
        loader: Any = self.trainer.train_dataloader if self.trainer else None  # None: nothing was trained
        if self.trainer is None or loader is None:
            return {"batch": 0, "of": 0}
        own = getattr(loader, "sampler", None)  # callbacks may have made others since, to look at images
        batches = own if isinstance(own, Batches) else self._train_batches
        # After the last batch the next epoch starts at 0, also if a limit ended the epoch before all were handed out.
        batch = 0 if batches is None or self.trainer.is_last_batch else batches.position
        return {"batch": batch, "of": int(self.trainer.num_training_batches)}

    def load_state_dict(self, state_dict: dict) -> None:
        """Let the next training epoch start at the checkpoint's position; the rest follows from the data themselves."""
        self._start = state_dict.get("position", {"batch": 0})["batch"]


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    return (pixels.unsqueeze(1) if pixels.ndim == 3 else pixels), torch.from_numpy(labels.astype(np.int64))


def _mean_and_std(images: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of uint8 images as brightness 0-1, from exact sums of integers."""
    counts = torch.zeros(256, dtype=torch.int64)  # how often each value occurs
    for part in images.split(max(1, COUNTED // images[0].numel())):
        counts += part.flatten().bincount(minlength=256)
    values = torch.arange(256)
    mean = (counts * values).sum().item() / images.numel()
    std = ((counts * values**2).sum().item() / images.numel() - mean**2) ** 0.5
    return mean / 255, (std / 255 or 1.0)
