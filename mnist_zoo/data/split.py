"""Stratified splits of a data set, and folds."""

from __future__ import annotations

from typing import Any

import numpy as np

Indices = np.ndarray[Any, np.dtype[np.intp]]


def stratified_split(labels: np.ndarray[Any, Any], count: int, seed: int) -> tuple[Indices, Indices]:
    """Draw `count` images at random, from each class in proportion to its size.

    The number for each class is rounded down or up by the largest remainder method, so that exactly `count` images are
    drawn. The same labels, count and seed give the same split on every machine. scikit-learn's ``train_test_split``
    draws other images, and published results depend on these.

    Args:
        labels: integers ``(N,)``.
        count: number of images to draw, 0-N.
        seed: of the random numbers.

    Returns:
        Sorted indices of the images that were not drawn, ``(N - count,)``, and of those that were, ``(count,)``.
    """
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    ideal = sizes * (count / len(labels))
    numbers = np.floor(ideal).astype(int)
    numbers[np.argsort(numbers - ideal, kind="stable")[: count - numbers.sum()]] += 1
    parts = [rng.permutation(np.flatnonzero(labels == c))[:n] for c, n in zip(classes, numbers, strict=True)]
    drawn = np.sort(np.concatenate(parts))
    return np.setdiff1d(np.arange(len(labels)), drawn), drawn


def stratified_fold(labels: np.ndarray[Any, Any], folds: int, fold: int, seed: int) -> tuple[Indices, Indices]:
    """Divide the images at random into equal folds, and return one of them.

    Each class is shared out evenly: its images in two folds, and the folds themselves, differ by at most one in number.
    Every image is in exactly one fold.

    Args:
        labels: integers ``(N,)``.
        folds: number of folds.
        fold: which one, counted from 0.
        seed: of the random numbers.

    Returns:
        Sorted indices of the images of all other folds, and of those of this fold.
    """
    rng = np.random.default_rng(seed)
    shuffled = np.concatenate([rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)])
    drawn = np.sort(shuffled[fold::folds])
    return np.setdiff1d(np.arange(len(labels)), drawn), drawn
