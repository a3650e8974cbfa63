"""The images of the benchmark in torchvision's file format, which every contender can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnist_zoo.errors import InputError

FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
TRAIN, TEST = 60_000, 10_000


def root(data: str, given: Path, scratch: Path) -> Path:
    """Return the folder that holds ``MNIST/raw``.

    Args:
        data: ``mnist``, which must be in the folder `given`, or ``mnist5k``, repeated to the size of MNIST.
        given: folder with ``MNIST/raw``.
        scratch: folder to write the repeated images to.

    Raises:
        InputError: if MNIST is not in the folder `given`.
    """
    if data == "mnist5k":
        print(f"data=mnist5k: its 4,000 and 1,000 images are repeated to {TRAIN:,} and {TEST:,}")
        from mnist_zoo.data import sources  # imports torch, which an invalid folder need not wait for

        digits = sources.load("mnist5k", given, {})
        arrays = digits.train_images, digits.train_labels, digits.test_images, digits.test_labels
        return write(arrays, TRAIN, TEST, scratch / "mnist5k")
    absent = [file for file in FILES if not (given / "MNIST" / "raw" / file).is_file()]
    if absent:
        raise InputError(
            f"{given / 'MNIST' / 'raw'} has no file {absent[0]}: name the folder of MNIST's unpacked files with "
            f"--data-root DIR, or use the digits that come with the installation: --data mnist5k"
        )
    return given.resolve()


def repeated(source: Path, count: int, folder: Path) -> Path:
    """Write the data of `source` to `folder` with the training images repeated or cut to `count`; return `folder`."""
    from mnist_zoo.data.idx import read_idx  # imports torch

    arrays = tuple(read_idx(source / "MNIST" / "raw" / file) for file in FILES)
    return write(arrays, count, len(arrays[2]), folder)


def write(arrays: tuple[np.ndarray, ...], train: int, test: int, folder: Path) -> Path:
    """Write training and test images and labels, repeated to these counts, as IDX files; return `folder`."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for file, array, count in zip(FILES, arrays, (train, train, test, test), strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array([count, *array.shape[1:]], ">i4").tobytes()
        whole, rest = divmod(count, len(array))
        parts = [array.astype(np.uint8)] * whole + [array[:rest].astype(np.uint8)]
        with (raw / file).open("wb") as target:
            target.write(header)
            for part in parts:
                target.write(part.tobytes())
    return folder
