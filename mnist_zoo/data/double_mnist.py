"""Double MNIST: two digits of MNIST side by side, one class for each pair of digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mnist_zoo.data.sources import DIGITS, ImageSet, load, register_dataset

PAIR_SEED = 100
CLASSES = tuple(left + right for left in DIGITS for right in DIGITS)  # 00 to 99


@register_dataset("double_mnist")
def double_mnist(root: Path) -> ImageSet:
    """Return 30,000 training and 5,000 test images, uint8 ``(N, 28, 56)``, in 100 classes, ``00`` to ``99``.

    Each digit of MNIST is in one image only, and test images are made of MNIST's test digits. So no digit is in two
    splits, however the training images are divided. Which digits stand together is drawn with a fixed seed.

    Raises:
        InputError: if a file of MNIST is damaged.
        DataUnavailable: if MNIST's files are missing and cannot be downloaded.
    """
    digits = load("mnist", root, {})
    train = _pairs(digits.train_images, digits.train_labels, PAIR_SEED)
    test = _pairs(digits.test_images, digits.test_labels, PAIR_SEED + 1)
    return ImageSet(*train, *test, CLASSES, parts=(len(DIGITS), len(DIGITS)))


def _pairs(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return pairs of digits uint8 ``(N // 2, 28, 56)`` and their labels, int64 ``(N // 2,)``; each digit once."""
    order = np.random.default_rng(seed).permutation(len(labels))
    left, right = order[: len(order) // 2], order[len(order) // 2 : len(order) // 2 * 2]
    pairs = np.concatenate([images[left], images[right]], axis=2)
    return pairs, labels[left].astype(np.int64) * len(DIGITS) + labels[right]
