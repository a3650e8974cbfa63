"""Splitting a data set so that every class keeps its share."""

from __future__ import annotations

import numpy as np


def stratified_split(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` of the images, from each class its share, and return ``(rest, drawn)``: sorted indices.

    Shares are rounded by the largest remainder, so that exactly `count` are drawn; the same labels, count and seed
    give the same split on every machine.
    """
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    ideal = sizes * (count / len(labels))
    take = np.floor(ideal).astype(int)
    take[np.argsort(take - ideal, kind="stable")[: count - take.sum()]] += 1
    drawn = [rng.permutation(np.flatnonzero(labels == c))[:k] for c, k in zip(classes, take, strict=True)]
    drawn = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(labels)), drawn), drawn
