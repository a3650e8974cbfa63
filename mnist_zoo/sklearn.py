"""A network of the zoo as an estimator of scikit-learn: for pipelines, cross-validation and grid searches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data.batches import Batches
from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.training.quiet import quiet_lightning

PREDICTED_AT_ONCE = 500  # images


class ZooClassifier(ClassifierMixin, BaseEstimator):
    """A network of the zoo that is trained by `fit`, with `LitClassifier` and Lightning's Trainer.

    Rows of X are images of a fixed size, flattened. They are scaled to mean 0 and standard deviation 1 over all values
    of X. Training runs for all `epochs`; no images are set aside to choose one, because scikit-learn's tools split the
    data themselves.

    Args:
        model: a registered name, or a dict with ``name`` and the network's options.
        epochs: number of epochs.
        lr: initial learning rate.
        batch_size: images of a step.
        optimizer: a registered name, or a dict with ``name`` and the optimizer's options.
        scheduler: likewise.
        image_shape: ``(channels, height, width)`` of the rows. None: square and grey; rows that fill no square are
            completed with the mean value, so that ``mlp`` takes features of any number, such as those of a PCA.
        accelerator: Lightning's: ``cpu``, ``gpu`` or ``auto``.
        random_state: of the initial weights, the order of images and dropout.

    Attributes:
        classes_: the labels, ``(C,)``.
        network_: the trained ``torch.nn.Module``, on the CPU.
        image_shape_: ``(channels, height, width)``.
        mean_, std_: of the values of X in training.
        n_features_in_: number of columns of X.

    Raises:
        InputError: (a ValueError) by `fit`, if a name or value is invalid, or the network cannot take such images.
        DivergedError: (an ArithmeticError) by `fit`, if the weights are NaN or infinite after training.

    Example:
        >>> import numpy as np
        >>> from mnist_zoo.sklearn import ZooClassifier
        >>> labels = np.repeat([3, 8], 20)
        >>> images = np.zeros((40, 64)) + 100 * (labels == 8)[:, None]
        >>> network = ZooClassifier("mlp", epochs=5, lr=0.01, batch_size=10, random_state=0).fit(images, labels)
        >>> network.predict(images[::20]).tolist()
        [3, 8]
    """

    def __init__(
        self,
        model: str | Mapping[str, Any] = "cnn",
        *,
        epochs: int = 5,
        lr: float = 1e-3,
        batch_size: int = 64,
        optimizer: str | Mapping[str, Any] = "adam",
        scheduler: str | Mapping[str, Any] = "none",
        image_shape: Sequence[int] | None = None,
        accelerator: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.model = model
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.image_shape = image_shape
        self.accelerator = accelerator
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> ZooClassifier:
        """Train a new network on X ``(N, D)`` with labels y ``(N,)`` of any kind."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise InputError(f"{name}={value}: it must be an integer of 1 or more")
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"the labels are of one class only ({self.classes_[0]}): a classifier needs two or more")
        self.image_shape_ = self._shape()
        self.mean_, self.std_ = float(X.mean(dtype=np.float64)), float(X.std(dtype=np.float64)) or 1.0
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with torch.random.fork_rng(), quiet_lightning():
            warnings.filterwarnings("ignore", ".*have no `val_dataloader`")  # scikit-learn's tools validate
            torch.manual_seed(seed)
            classifier = LitClassifier(
                self.model,
                lr=self.lr,
                optimizer=self.optimizer,
                scheduler=self.scheduler,
                num_classes=len(self.classes_),
                image_shape=self.image_shape_,
            )
            self._train(classifier, self._images(X), torch.from_numpy(labels.reshape(-1)), seed)
        if not all(parameter.isfinite().all() for parameter in classifier.model.parameters()):
            raise DivergedError(f"training diverged: the weights became NaN or infinite: use an lr below {self.lr}")
        self.network_ = classifier.model.cpu().eval()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class of `classes_`: float64 ``(N, C)``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        with torch.inference_mode():
            logits = torch.cat([self.network_(part) for part in self._images(X).split(PREDICTED_AT_ONCE)])
        return logits.double().softmax(1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row: ``(N,)``."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def _shape(self) -> tuple[int, int, int]:
        """Return ``(channels, height, width)`` of the images in the rows of X."""
        features = self.n_features_in_
        if self.image_shape is None:
            side = math.isqrt(features - 1) + 1
            return 1, side, side
        shape = tuple(self.image_shape)
        if len(shape) != 3 or not all(isinstance(size, int | np.integer) and size > 0 for size in shape):
            raise InputError(
                f"image_shape={self.image_shape}: it must be (channels, height, width), such as (1, 28, 28)"
            )
        channels, height, width = (int(size) for size in shape)
        if channels * height * width != features:
            raise InputError(
                f"image_shape={self.image_shape} has {channels * height * width} values, and X has {features} columns"
            )
        return channels, height, width

    def _images(self, X: np.ndarray) -> Tensor:
        """Return rows as scaled images, float32 ``(N, C, H, W)``."""
        scaled = (torch.from_numpy(X) - self.mean_) / self.std_
        missing = math.prod(self.image_shape_) - scaled.shape[1]
        return torch.nn.functional.pad(scaled, (0, missing)).reshape(len(X), *self.image_shape_)

    def _train(self, classifier: LitClassifier, images: Tensor, labels: Tensor, seed: int) -> None:
        trainer = pl.Trainer(
            accelerator=self.accelerator,
            devices=1,
            max_epochs=int(self.epochs),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        device = trainer.strategy.root_device
        loader = Batches(images.to(device), labels.to(device), int(self.batch_size), scale=1, shuffle=True, seed=seed)
        try:
            trainer.fit(classifier, loader)
        except SystemExit as error:  # Lightning turns Ctrl-C into it
            raise KeyboardInterrupt from error
