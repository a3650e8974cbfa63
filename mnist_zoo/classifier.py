"""LitClassifier: supervised training of any network of the zoo with Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from mnist_zoo.adversary import Adversary
from mnist_zoo.errors import InputError
from mnist_zoo.losses import build_loss
from mnist_zoo.models import create_model
from mnist_zoo.models.pretrained import without_pretrained
from mnist_zoo.models.registry import fit_to_images, without_unset_size
from mnist_zoo.optim import build_optimizer, build_scheduler
from mnist_zoo.registry import is_plain, plain
from mnist_zoo.weights import check_archive

ROUNDED = 0.02  # difference of a mean or standard deviation that was typed with two digits
AUXILIARY_WEIGHT = 0.3  # of each auxiliary head's loss: Szegedy et al. 2015, section 5


class LossAndAccuracy(Metric):
    """Mean cross-entropy (nats) and accuracy (a fraction) over all images since the last reset.

    With targets that mix classes, a prediction is correct if it is the class with the largest share.

    It holds sums on the device, so that no update waits for the device. They are float64, so that the result does not
    depend on how the images were divided into batches; float32 on Apple's MPS, which has no float64.
    """

    full_state_update = False
    loss: Tensor
    correct: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        for name in ("loss", "correct", "images"):
            self.add_state(name, torch.zeros((), dtype=dtype), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add images: logits ``(N, C)`` of any float dtype, labels int64 ``(N,)`` or probabilities ``(N, C)``."""
        losses = F.cross_entropy(logits.float(), labels, reduction="none")
        if labels.is_floating_point():
            labels = labels.argmax(1)
        self.loss = self.loss + losses.sum(dtype=self.loss.dtype)
        self.correct = self.correct + (logits.argmax(1) == labels).sum()
        self.images = self.images + len(labels)

    def compute(self) -> dict[str, Tensor]:
        """Return ``loss`` and ``acc``, scalars."""
        return {"loss": self.loss / self.images, "acc": self.correct / self.images}


class LitClassifier(pl.LightningModule):
    """Supervised training of a registered network, with loss and accuracy of each split once an epoch.

    Works with any loader of ``(images, labels)``: float32 ``(N, C, H, W)`` of a size that the network takes, and int64
    ``(N,)``, or probabilities ``(N, num_classes)`` where images are mixed. At the end of an epoch it logs
    ``train_loss``, ``train_acc``, ``val_loss``, ``val_acc``, ``test_loss`` and ``test_acc``. Accuracies are fractions.
    Losses are the plain cross-entropy in nats, whatever loss is minimised, without label smoothing, penalties and
    auxiliary heads, so that they can be compared between runs. With mixed images, the training loss is that against the
    mixed labels, and a prediction is correct if it is the class with the largest share.

    Args:
        model: a registered name, or a dict with ``name`` and the network's options.
        lr: initial learning rate (for ``onecycle`` the largest).
        optimizer: a registered name, such as ``adam``, or a dict with ``name`` and the optimizer's options.
        scheduler: a registered name, such as ``onecycle``, or a dict with ``name`` and its options (see
            `mnist_zoo.optim.schedules`).
        loss: a registered name, such as ``cross_entropy``, or a dict with ``name`` and its options.
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        adversary: the attack on the training images: ``none``, ``fgsm`` or ``pgd``, or a dict with ``name`` and its
            options (see `mnist_zoo.adversary.Adversary`; ``mean`` and ``std`` are those of the loader's images).
            ``train_loss`` and ``train_acc`` are then those of the attacked images.
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_shape: ``(channels, height, width)`` of the images, such as ``MNISTDataModule.image_shape``. It replaces
            `in_chans`, and sets the option ``image_size`` of networks that have one. None: the network's default size.

    Raises:
        InputError: unknown names, values out of range, or a network that cannot take images of this shape.

    Example:
        >>> import torch
        >>> from mnist_zoo import LitClassifier
        >>> classifier = LitClassifier({"name": "cnn", "dense": 96}, lr=3e-4, optimizer="adamw")
        >>> classifier(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> classifier.model.features(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 96])
    """

    def __init__(
        self,
        model: str | Mapping = "cnn",
        *,
        lr: float = 1e-3,
        optimizer: str | Mapping = "adam",
        scheduler: str | Mapping = "none",
        loss: str | Mapping = "cross_entropy",
        label_smoothing: float = 0.0,
        adversary: str | Mapping = "none",
        num_classes: int = 10,
        in_chans: int = 1,
        image_shape: Sequence[int] | None = None,
    ):
        super().__init__()
        lr, label_smoothing, num_classes, in_chans = map(plain, (lr, label_smoothing, num_classes, in_chans))
        if not isinstance(lr, (int, float, Tensor)) or not 0 < lr < math.inf:
            raise InputError(f"lr={lr!r}: the learning rate must be above 0, and a finite number")
        if not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing={label_smoothing!r}: it must lie in [0, 1)")
        # Plain values only, so that a checkpoint loads with weights_only=True and without further arguments.
        model, optimizer = _named("model", model), _named("optimizer", optimizer)
        scheduler, loss = _named("scheduler", scheduler), _named("loss", loss)
        self.adversary = Adversary.of(_named("adversary", adversary))
        adversary = self.adversary.options()
        if image_shape is None:
            model = without_unset_size(model)
        else:
            shape = plain(image_shape)
            model, in_chans = fit_to_images(model["name"], model, shape), shape[0]
        network = create_model(**model, num_classes=num_classes, in_chans=in_chans)
        # A checkpoint must be readable without the weights that training started from.
        model = without_pretrained(model, num_classes, in_chans)
        self.save_hyperparameters(ignore="image_shape")  # it is in in_chans and model
        self.model = network
        self.train_metrics, self.val_metrics, self.test_metrics = (LossAndAccuracy() for _ in range(3))

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Return the trained classifier in a checkpoint, as Lightning's method of this name.

        No code in the file is executed, unless `weights_only` is False.

        Raises:
            InputError: if the file is damaged: its checksums are compared first.
        """
        if isinstance(checkpoint_path, (str, Path)) and Path(checkpoint_path).exists():  # else a URL, or an open file
            check_archive(Path(checkpoint_path))
        return super().load_from_checkpoint(checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs)

    def setup(self, stage: str) -> None:
        """Forget what an interrupted epoch counted. The sums of a checkpoint that is resumed are restored later.

        Raises:
            InputError: if the network has other outputs than the DataModule of a training has `class_names`, or attacks
                images with another mean and standard deviation than theirs.
        """
        for metrics in (self.train_metrics, self.val_metrics, self.test_metrics):
            metrics.reset()
        if stage == "fit":
            self._require_fitting_data(getattr(self.trainer, "datamodule", None))

    def _require_fitting_data(self, data: Any) -> None:
        names, width = getattr(data, "class_names", None), self.hparams["num_classes"]
        if names is not None and len(names) != width:  # its checkpoints could not be read
            raise InputError(
                f"num_classes={width}, and the data set has {len(names)} classes: use "
                f"LitClassifier(..., num_classes={len(names)})"
            )
        mean, std, attack = getattr(data, "mean", None), getattr(data, "std", None), self.adversary
        if attack.name == "none" or not isinstance(mean, float) or not isinstance(std, float):
            return
        if max(abs(attack.mean - mean), abs(attack.std - std)) > ROUNDED:  # black would not be the lowest pixel
            raise InputError(
                f"adversary: mean={attack.mean:.3g} and std={attack.std:.3g}, and the images are scaled with "
                f"mean={mean:.3g} and std={std:.3g}: give the adversary these (data.mean and data.std)"
            )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        return self.model(images)

    def compute_loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the training loss of a batch, a scalar, and the logits ``(N, num_classes)``.

        The loss is the one named by the hyper-parameters, with label smoothing, plus 0.3 of that of each auxiliary
        head, plus the network's ``penalty()``, where it has these. A network with a method ``training_loss(images,
        targets, loss)`` computes its own from that loss. With an adversary it is that of the attacked images.

        Args:
            images: float32 ``(N, C, H, W)``.
            labels: int64 ``(N,)``, or probabilities ``(N, num_classes)``.
        """
        if self.adversary.name != "none":
            images = self.adversary.attack(self.model, images, labels, self.current_epoch)
        own = getattr(self.model, "training_loss", None)
        if own is not None:
            return own(images, labels, self._loss)
        output = self.model(images)
        logits, *auxiliary = output if isinstance(output, tuple) else (output,)
        loss = self._loss(logits, labels)
        for head in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * self._loss(head, labels)
        penalty = getattr(self.model, "penalty", None)
        l2 = penalty() if penalty is not None else None
        return (loss if l2 is None else loss + l2), logits

    @cached_property
    def _loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The training loss: made when it is needed, so that a checkpoint loads without the module of its loss."""
        return build_loss(self.hparams["loss"], self.hparams["label_smoothing"])

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        images, labels = batch
        loss, logits = self.compute_loss(images, labels)
        self.train_metrics.update(logits.detach(), labels)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.val_metrics.update(self.model(images), labels)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.test_metrics.update(self.model(images), labels)

    def predict_step(self, batch: Tensor | Sequence[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the logits of a batch of images, alone or with labels."""
        return self.model(batch if isinstance(batch, Tensor) else batch[0])

    def on_train_epoch_end(self) -> None:
        self._log_metrics("train", self.train_metrics)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test", self.test_metrics)

    def _log_metrics(self, split: str, metrics: LossAndAccuracy) -> None:
        self.log_dict({f"{split}_{name}": value for name, value in metrics.compute().items()})
        metrics.reset()

    # A checkpoint within an epoch keeps the training metrics of the epoch so far.
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = ("loss", "correct", "images")
        checkpoint["train_metrics"] = {name: getattr(self.train_metrics, name).clone() for name in sums}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, value in checkpoint.get("train_metrics", {}).items():
            setattr(self.train_metrics, name, value.to(self.device))

    def count_steps(self) -> tuple[int, int]:
        """Return the optimizer steps of the whole training and the batches of one epoch; loads the training data.

        Raises:
            InputError: if training has no end, or the loader no length.
        """
        steps, batches = self.trainer.estimated_stepping_batches, self.trainer.num_training_batches
        if math.inf in (steps, batches):
            raise InputError(
                "a schedule of the learning rate needs the number of steps: give the Trainer max_epochs, and "
                "limit_train_batches=N if the loader has no length"
            )
        return int(steps), int(batches)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and the schedule named by the hyper-parameters, in Lightning's form."""
        optimizer = build_optimizer(self.hparams["optimizer"], self.model.parameters(), self.hparams["lr"])
        if self.hparams["scheduler"]["name"] == "none":
            return optimizer
        steps, batches = self.count_steps()
        schedule = build_scheduler(
            self.hparams["scheduler"], optimizer, steps, batches, self.trainer.accumulate_grad_batches
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _named(setting: str, choice: str | Mapping) -> dict[str, Any]:
    """Return a choice as a plain dict with ``name`` and options."""
    choice = plain(choice)
    if isinstance(choice, str):
        return {"name": choice}
    if not isinstance(choice, dict):
        own = "; register_model gives a name to a network of your own" if setting == "model" else ""
        raise InputError(
            f"{setting} is a {type(choice).__name__}: it must be a registered name, or a dict with a name and its "
            f"options{own}"
        )
    if "name" not in choice:
        raise InputError(f"{choice} has no 'name': give a name, or a dict with a name and its options")
    for key, value in choice.items():
        if not is_plain(value):
            raise InputError(
                f"{setting}: {key}={value}: a checkpoint cannot hold a {type(value).__name__}: use numbers, texts, "
                f"truth values, and lists and dicts of them"
            )
    return choice
