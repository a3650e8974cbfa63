"""NumPy archives of images and labels, as Keras (``mnist.npz``) and MedMNIST distribute them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from mnist_zoo.data.reading import MAX_BYTES, require_file
from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.errors import InputError

# Names of the arrays: training images and labels, test images and labels.
NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),  # Keras
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
)
CHANNELS = (1, 3)


@register_dataset("npz")
def npz(root: Path) -> ImageSet:
    """Return the images in the archive `root`, a file.

    Its arrays are ``x_train, y_train, x_test, y_test``, or ``train_images, train_labels, test_images, test_labels``.
    Images are integers 0-255: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``. If the last of four axes has size 1
    or 3 it holds the channels, otherwise the second. Labels are integers from 0, ``(N,)`` or ``(N, 1)``.

    Raises:
        InputError: if the file is missing, damaged, contains Python objects, or has other arrays.
    """
    path = root
    require_file(path, "name the archive with data.root=FILE.npz")
    (x_train, train), (y_train, train_classes), (x_test, test), (y_test, test_classes) = _load(path).items()
    images = [_images(path, x_train, train), _images(path, x_test, test)]
    labels = [_labels(path, y_train, train_classes), _labels(path, y_test, test_classes)]
    classes = _classes(path, labels[0])
    try:
        return ImageSet(images[0], labels[0], images[1], labels[1], classes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _load(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the four arrays by name: training images and labels, test images and labels."""
    try:
        with ZipFile(path) as archive:
            sizes = {member.filename.removesuffix(".npy"): member.file_size for member in archive.infolist()}
        wanted = next((names for names in NAMES if set(names) <= set(sizes)), None)
        if wanted is None:
            raise InputError(f"{path} has the arrays {', '.join(sizes) or '(none)'}: {_expected()}")
        if sum(sizes[name] for name in wanted) > MAX_BYTES:  # what zipfile reads at most, whatever was compressed
            raise InputError(f"{path} takes more than {MAX_BYTES / 2**30:g} GiB in memory: store fewer images")
        unused = [name for name in ("x_val", "val_images") if name in sizes]
        if unused:
            warnings.warn(
                f"{path}: {unused[0]} are not used (validation images are drawn from {wanted[0]}: data.val_size)",
                stacklevel=2,
            )
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}
    except (InputError, PermissionError):
        raise
    except BadZipFile as error:
        raise InputError(f"{path} is not an NPZ archive, or is damaged ({error}): {_expected()}") from error
    except Exception as error:  # numpy and zlib raise errors of many types for damaged files
        objects = "allow_pickle" in str(error)
        reason = "an array of Python objects could run code" if objects else str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}): write it again with numpy.savez") from error


def _expected() -> str:
    return f"expected are {', '.join(NAMES[0])}, or {', '.join(NAMES[1])}"


def _images(path: Path, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return images as uint8 ``(N, H, W)`` or ``(N, C, H, W)``."""
    if array.ndim == 4 and array.shape[3] in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim != 3 and not (array.ndim == 4 and array.shape[1] in CHANNELS):
        raise InputError(
            f"{path}: {name} have the shape {array.shape}: (N, H, W), (N, H, W, C) or (N, C, H, W) is expected, with "
            f"C=1 or C=3"
        )
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{path}: {name} are {array.dtype}: store integers 0-255, for brightness 0-1 as "
            f"(images * 255).round().astype('uint8')"
        )
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise InputError(f"{path}: {name} hold values from {array.min()} to {array.max()}: 0-255 are expected")
    return array.astype(np.uint8)


def _labels(path: Path, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return labels as integers ``(N,)``."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{path}: {name} are {array.dtype} {array.shape}: integers (N,) or (N, 1) are expected, for one-hot rows "
            f"labels.argmax(axis=1)"
        )
    return array


def _classes(path: Path, labels: np.ndarray[Any, Any]) -> tuple[str, ...]:
    """Return the names of the classes: their numbers. Each number from 0 must be among the training labels."""
    present = np.unique(labels)
    missing = next((number for number, label in enumerate(present) if label != number), None)
    if missing is not None:
        raise InputError(
            f"{path}: training labels lie between {present[0]} and {present[-1]}, and none is {missing}: number the "
            f"classes from 0 without gaps"
        )
    return tuple(str(label) for label in present)
