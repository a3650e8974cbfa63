"""CIFAR-10: 32x32 colour images of ten classes, from the files that torchvision downloads.

The files are pickles, which can run code when Python opens them. They are read here without running any: the only
names that they may refer to are numpy's array and dtype, and these are replaced by classes that only keep values.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from mnist_zoo.data.downloads import download
from mnist_zoo.data.reading import require_file
from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.errors import InputError

FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
CURE = "delete it and run again to download it"


@register_dataset("cifar10")
def cifar10(root: Path) -> ImageSet:
    """Return 50,000 training and 10,000 test images, uint8 ``(N, 3, 32, 32)``, downloaded if a file is missing.

    Raises:
        InputError: if a file is damaged, or is a pickle of something else.
        DataUnavailable: if the files are missing and cannot be downloaded.
    """
    folder = root / FOLDER
    if not all((folder / name).exists() for name in (*TRAIN, TEST)):
        download(root, "CIFAR10", ({},), folder)
    batches = [read_batch(folder / name) for name in TRAIN]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return ImageSet(images, labels, *read_batch(folder / TEST), CLASSES)


def read_batch(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images uint8 ``(N, 3, 32, 32)`` and labels uint8 ``(N,)`` of one of the files. No code in it is run.

    Raises:
        InputError: if the file is damaged, refers to code, or holds other values.
    """
    require_file(path, CURE)
    try:
        with path.open("rb") as file:
            batch = _Unpickler(file, encoding="bytes").load()
        array, labels = batch[b"data"], batch[b"labels"]
        images = np.frombuffer(array.content, np.uint8).reshape(-1, *SHAPE)
        if array.shape != (len(images), images[0].size) or array.dtype != "u1" or array.by_columns:
            raise ValueError(f"its array is {array.dtype} {array.shape}")
        if len(labels) != len(images) or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
            raise ValueError(f"{len(images)} images need as many labels from 0 to {len(CLASSES) - 1}")
    except _Refused as error:
        raise InputError(f"{path} asks to run {error}: refused; the file is not CIFAR-10's") from error
    except OSError:
        raise
    except Exception as error:  # damaged pickles raise errors of many types
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged or not a file of CIFAR-10 ({reason}): {CURE}") from error
    return images, np.array(labels, np.uint8)


class _Refused(Exception):
    """A pickle refers to a name other than an array's. The message is this name."""


class _Dtype:
    """Keeps the name of a dtype."""

    def __init__(self, name: bytes, *_: object):
        self.name = name.decode() if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment: uint8 has neither."""


class _Array:
    """Keeps shape, dtype and bytes of an array."""

    shape: tuple[int, ...]
    dtype: str
    by_columns: bool
    content: bytes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, self.by_columns, self.content = state
        self.dtype = dtype.name


class _Unpickler(pickle.Unpickler):
    """Builds lists, dicts, numbers and strings only, and `_Array` in place of numpy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        replaced: dict[tuple[str, str], Any] = {
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),  # of bytes, where Python 3 wrote the file
        }
        if (module, name) not in replaced:
            raise _Refused(f"{module}.{name}")
        return replaced[module, name]
