"""The registry of data sets: named functions that each return an `ImageSet`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mnist_zoo.errors import InputError, unknown

DIGITS = tuple("0123456789")


class DataUnavailable(InputError):
    """The files of a data set are not on disk and cannot be downloaded."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled training and test images in memory.

    Attributes:
        train_images, test_images: uint8 ``(N, H, W)``, or ``(N, C, H, W)`` for several channels.
        train_labels, test_labels: integers ``(N,)`` in ``0 .. len(class_names) - 1``.
        class_names: name of each label, in order; others than texts become texts.
        parts: numbers of values of the parts that a label consists of, the last changes fastest: ``(10, 10)`` for pairs
            of digits, whose label is ``10 * first + second``. Empty if labels have no parts.

    Raises:
        InputError: if shapes, dtypes, counts or labels are inconsistent.
    """

    train_images: np.ndarray[Any, Any]
    train_labels: np.ndarray[Any, Any]
    test_images: np.ndarray[Any, Any]
    test_labels: np.ndarray[Any, Any]
    class_names: tuple[str, ...] = DIGITS
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # Texts of Python alone: a checkpoint could not be read with the texts of NumPy.
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"two classes have the same name: {', '.join(self.class_names)}")
        if self.parts and math.prod(self.parts) != len(self.class_names):
            raise InputError(f"labels of parts={self.parts} need {math.prod(self.parts)} class names")
        arrays = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        other = next((array for array in arrays if not isinstance(array, np.ndarray)), None)
        if other is not None:
            raise InputError(
                f"an ImageSet holds NumPy arrays, not a {type(other).__name__}: convert it (numpy.asarray)"
            )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InputError(
                f"training images have shape {self.train_images.shape[1:]} and test images {self.test_images.shape[1:]}"
                f": both must have the same shape"
            )
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape[1:]:
                raise InputError(f"{part} images must be uint8 (N, [C,] H, W), not {images.dtype} {images.shape}")
            if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
                raise InputError(f"{part} labels must be integers (N,), not {labels.dtype} {labels.shape}")
            if len(images) != len(labels) or len(images) == 0:
                raise InputError(
                    f"{part}: {len(images)} images and {len(labels)} labels; there must be a label for each image, "
                    f"and at least one image"
                )
            highest = len(self.class_names) - 1
            outside = (labels < 0) | (labels > highest)
            if outside.any():
                row = int(outside.argmax())
                raise InputError(f"{part} label {labels[row]} of image {row} (counted from 0) is outside 0-{highest}")


Source = Callable[..., ImageSet]
AnySource = TypeVar("AnySource", bound=Source)
_SOURCES: dict[str, Source] = {}


def register_dataset(name: str) -> Callable[[AnySource], AnySource]:
    """Register a function ``(root: Path, **options) -> ImageSet`` under a name for ``data.name=``.

    On the command line: ``plugins=[my_package.my_module] data=custom data.name=my_set +data.count=30``.

    Raises:
        InputError: if the name is not a text, or is already registered.

    Example:
        >>> import numpy as np
        >>> from mnist_zoo import MNISTDataModule, register_dataset
        >>> from mnist_zoo.data import ImageSet
        >>> @register_dataset("my_set")
        ... def my_set(root, count=30):
        ...     images, labels = np.zeros((count, 28, 28), np.uint8), np.arange(count) % 3
        ...     return ImageSet(images, labels, images, labels, class_names=("a", "b", "c"))
        >>> MNISTDataModule("my_set", count=60, val_size=6).class_counts["train"]
        [18, 18, 18]
    """

    if not isinstance(name, str) or not name:
        raise InputError("register_dataset needs a name: @register_dataset('my_set')")

    def register(source: AnySource) -> AnySource:
        if name in _SOURCES:
            raise InputError(f"a data set named '{name}' is already registered; choose another name")
        _SOURCES[name] = source
        return source

    return register


def list_datasets() -> list[str]:
    """Return the names of all registered data sets, sorted.

    Example:
        >>> from mnist_zoo import list_datasets
        >>> list_datasets()[:4]
        ['cifar10', 'csv', 'double_mnist', 'emnist_balanced']
    """
    return sorted(_SOURCES)


def source_of(name: str) -> Source:
    """Return the function of a data set.

    Raises:
        InputError: if the name is not registered; the message lists the registered ones.
    """
    if name not in _SOURCES:
        raise unknown("data set", name, _SOURCES)
    return _SOURCES[name]


def load(name: str, root: Path, options: Mapping[str, Any]) -> ImageSet:
    """Return the data set `name`. Missing files are downloaded to folders below `root`.

    Raises:
        InputError: unknown name or option, or damaged files.
        DataUnavailable: if files are missing and cannot be downloaded.
    """
    source = source_of(name)
    parameters = inspect.signature(source).parameters
    accepted = list(parameters)[1:]
    any_option = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if not accepted:
            raise InputError(
                f"{option}={options[option]}: data set '{name}' has no options; see MNISTDataModule's arguments"
            )
        if option not in accepted and not any_option:
            raise unknown(f"option of data set '{name}'", option, accepted)
    found = source(root, **options)
    if not isinstance(found, ImageSet):
        raise InputError(f"data set '{name}' gave {type(found).__name__}: it must return an ImageSet")
    return found
