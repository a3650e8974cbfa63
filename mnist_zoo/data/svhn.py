"""SVHN, house numbers in street photographs (Netzer et al. 2011), as grey images of MNIST's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mnist_zoo.data.downloads import download
from mnist_zoo.data.reading import require_file, require_memory
from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.errors import InputError

FILES = ("train_32x32.mat", "test_32x32.mat")
SHAPE = (32, 32, 3)  # of an image in the files; the number of the image is the last axis
SIDE = 28  # pixels of the images that are returned
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
AT_ONCE = 4096  # images that are converted together
CURE = "delete it and run again to download it"


@register_dataset("svhn")
def svhn(root: Path) -> ImageSet:
    """Return 73,257 training and 26,032 test images, uint8 ``(N, 28, 28)``, downloaded if a file is missing.

    The files are those of cropped digits that torchvision stores in `root`; its further ``extra`` images are not used.
    Colours become their luma, and 32x32 pixels become 28x28 by antialiased bilinear interpolation. Label 10 of the
    files is the digit 0.

    Raises:
        InputError: if a file is damaged.
        DataUnavailable: if the files are missing and cannot be downloaded.
    """
    if not all((root / name).exists() for name in FILES):
        download(root, "SVHN", ({"split": "train"}, {"split": "test"}), root)
    (train, train_labels), (test, test_labels) = (read_mat(root / name) for name in FILES)
    return ImageSet(_small_and_grey(train), train_labels, _small_and_grey(test), test_labels)


def read_mat(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images uint8 ``(32, 32, 3, N)`` and labels 0-9, int64 ``(N,)``, of one of the files. No code in it is run.

    Raises:
        InputError: if the file is damaged, or holds other values.
    """
    from scipy.io import loadmat, whosmat  # here: it takes long to import

    require_file(path, CURE)
    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}  # before memory is taken for them
        count = shapes["X"][-1]
        if shapes["X"] != (*SHAPE, count) or shapes["y"] != (count, 1):
            raise ValueError(f"X has the shape {shapes['X']} and y {shapes['y']}")
        require_memory(count, SHAPE, path, CURE)
        found = loadmat(path, variable_names=["X", "y"])
        images, labels = found["X"], found["y"][:, 0]
        if images.dtype != np.uint8 or labels.dtype.kind not in "iu" or not ((labels >= 1) & (labels <= 10)).all():
            raise ValueError(f"X is {images.dtype}, and the labels y must be integers from 1 to 10")
    except (OSError, InputError):
        raise
    except Exception as error:  # scipy raises errors of many types for a damaged file
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(f"{path} is damaged or not a file of SVHN ({reason}): {CURE}") from error
    return images, labels.astype(np.int64) % 10


def _small_and_grey(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return images uint8 ``(32, 32, 3, N)`` as uint8 ``(N, 28, 28)``."""
    weights = torch.tensor(LUMA)
    parts = []
    for start in range(0, images.shape[-1], AT_ONCE):
        colours = torch.from_numpy(np.moveaxis(images[..., start : start + AT_ONCE], -1, 0).astype(np.float32))
        grey = (colours @ weights).unsqueeze(1)  # (B, 1, 32, 32)
        small = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        parts.append(small.round().clamp(0, 255).byte().squeeze(1).numpy())
    return np.concatenate(parts) if parts else np.empty((0, SIDE, SIDE), np.uint8)
