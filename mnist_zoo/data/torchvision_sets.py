"""MNIST and the data sets in its format that torchvision downloads.

Files are where torchvision stores them, ``<root>/<class name>/raw``, but are read without importing it, which takes a
second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from mnist_zoo.data.downloads import download
from mnist_zoo.data.idx import CURE, read_idx
from mnist_zoo.data.reading import require_file
from mnist_zoo.data.sources import DIGITS, DataUnavailable, ImageSet, register_dataset
from mnist_zoo.errors import InputError

MNIST_TEST_IMAGES = 10_000  # the first test images of QMNIST
QMNIST_COLUMNS = 8  # numbers for each image, of which the first is the class


@dataclass(frozen=True)
class TorchvisionSet:
    """A data set of torchvision whose files are in IDX format.

    Attributes:
        class_name: torchvision's class, and the name of its folder.
        files: names of the files, without ``.gz``: training images and labels, test images and labels.
        download: arguments of each call of the class that is needed to download all files.
        class_names: name of each label.
        transposed: whether the files hold each image transposed.
        first_label: the label of the first class in the files.
    """

    class_name: str
    files: tuple[str, ...]
    download: tuple[Mapping[str, str], ...] = ({},)
    class_names: tuple[str, ...] = DIGITS
    transposed: bool = False
    first_label: int = 0

    def __call__(self, root: Path) -> ImageSet:
        """Return the images, downloaded if a file is missing."""
        folder = root / self.class_name / "raw"
        if any(_find(folder, file) is None for file in self.files):
            download(root, self.class_name, self.download, folder)
        train_images, train_labels, test_images, test_labels = (self._read(folder, file) for file in self.files)
        if train_labels.ndim == 2:  # QMNIST
            train_labels, test_labels = train_labels[:, 0], test_labels[:, 0]
        if self.transposed:
            train_images, test_images = train_images.transpose(0, 2, 1), test_images.transpose(0, 2, 1)
        try:
            return ImageSet(train_images, train_labels, test_images, test_labels, self.class_names)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def _read(self, folder: Path, file: str) -> Any:
        """Return the array in one of the files."""
        path = _find(folder, file)
        if path is None:
            raise DataUnavailable(f"{folder} has no file {file} after the download")
        array = read_idx(path)
        dimensions = int(re.findall(r"idx(\d)", file)[0])  # the format's file names say how many
        if array.ndim != dimensions:
            raise InputError(f"{path} has {array.ndim} dimensions; {dimensions} are expected: {CURE}")
        if "images" in file and array.shape[1:] != (28, 28):
            raise InputError(f"{path} contains images of shape {array.shape[1:]}: 28x28 is expected")
        if dimensions == 2 and array.shape[1] != QMNIST_COLUMNS:
            raise InputError(f"{path} has {array.shape[1]} numbers for each image; {QMNIST_COLUMNS} are expected")
        if "labels" not in file or not self.first_label:
            return array
        if array.size and array.min() < self.first_label:
            raise InputError(f"{path} has the label {array.min()}: its labels start at {self.first_label}: {CURE}")
        return array.astype(np.int64) - self.first_label


def _find(folder: Path, file: str) -> Path | None:
    """Return the path of a plain or gzipped file, or None. Raises InputError if it is not a regular file."""
    for path in (folder / file, folder / f"{file}.gz"):
        if path.exists():
            require_file(path, CURE)
            return path
    return None


def _files(pattern: str, parts: tuple[str, str] = ("train", "t10k"), labels: str = "idx1-ubyte") -> tuple[str, ...]:
    """Return the names of the four files from a pattern with ``{part}`` and ``{kind}``."""
    kinds = ("images-idx3-ubyte", f"labels-{labels}")
    return tuple(pattern.format(part=part, kind=kind) for part in parts for kind in kinds)


_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# EMNIST (Cohen et al. 2017). Small letters that look like their capitals are one class with them in the merged splits.
_CHARACTERS = (*DIGITS, *ascii_uppercase, *ascii_lowercase)
_MERGED = tuple(name for name in _CHARACTERS if name not in "cijklmopsuvwxyz")
_EMNIST: dict[str, tuple[str, ...]] = {
    "balanced": _MERGED,
    "byclass": _CHARACTERS,
    "bymerge": _MERGED,
    "digits": DIGITS,
    "letters": tuple(ascii_lowercase),
    "mnist": DIGITS,
}

for _name, _set in {
    "mnist": TorchvisionSet("MNIST", _files("{part}-{kind}")),
    "fashion_mnist": TorchvisionSet("FashionMNIST", _files("{part}-{kind}"), class_names=_FASHION),
    "kmnist": TorchvisionSet("KMNIST", _files("{part}-{kind}"), class_names=_KUZUSHIJI),
    **{
        f"emnist_{split}": TorchvisionSet(
            "EMNIST",
            _files(f"emnist-{split}-{{part}}-{{kind}}", ("train", "test")),
            ({"split": split},),
            names,
            transposed=True,
            first_label=1 if split == "letters" else 0,
        )
        for split, names in _EMNIST.items()
    },
}.items():
    register_dataset(_name)(_set)

_QMNIST = TorchvisionSet(
    "QMNIST",
    _files("qmnist-{part}-{kind}", ("train", "test"), "idx2-int"),
    ({"what": "train"}, {"what": "test"}),
)


@register_dataset("qmnist")
def qmnist(root: Path, test_digits: str = "fresh") -> ImageSet:
    """Return QMNIST (Yadav and Bottou 2019), downloaded if a file is missing.

    Its 60,000 training images are those of MNIST, made again from NIST's. Of its 60,000 test images the first 10,000
    are MNIST's test images. The other 50,000 were lost when MNIST was made: a test set on which nobody has chosen a
    network for MNIST.

    Args:
        root: folder of the data sets.
        test_digits: ``fresh`` for the 50,000 test images that MNIST does not contain, ``all`` for all.

    Raises:
        InputError: for another `test_digits`, or if a file is damaged or has no fresh test images.
        DataUnavailable: if the files are missing and cannot be downloaded.
    """
    if test_digits not in ("fresh", "all"):
        raise InputError(f"test_digits={test_digits!r}: it must be fresh or all")
    data = _QMNIST(root)
    if test_digits == "all":
        return data
    if len(data.test_images) <= MNIST_TEST_IMAGES:
        raise InputError(
            f"{root / _QMNIST.class_name}: {len(data.test_images):,} test images; those after the first "
            f"{MNIST_TEST_IMAGES:,} are the fresh ones: {CURE}, or use data.test_digits=all"
        )
    fresh = slice(MNIST_TEST_IMAGES, None)
    return replace(data, test_images=data.test_images[fresh], test_labels=data.test_labels[fresh])
