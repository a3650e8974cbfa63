"""Telling digits from other things by the largest logit (Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection
for Real-World Settings").

Images that are unlike the training images have a low one, even where the probability of one class is near 1. The
threshold is the score that 2 % of the validation images do not reach. On development pictures (`benchmarks.photos`) it
rejects more letters and blobs than the largest probability, the entropy or the margin, and as many as the energy.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.runs import read_metrics, read_predictions
from mnist_zoo.weights import FOLDER, Weights, read_shipped_card

REJECTED = 0.02  # share of the validation images
NOT_A_DIGIT = "not a digit?"


def score(logits: Tensor) -> Tensor:
    """Return the score ``(N,)`` of logits ``(N, num_classes)``."""
    return logits.amax(1)


def threshold_of(logits: Tensor) -> float:
    """Return the score that a share `REJECTED` of the images with these logits do not reach."""
    return float(score(logits.double()).quantile(REJECTED))


def find_threshold(weights: Weights) -> float | None:
    """Return the threshold of trained weights: from the card of shipped ones, or from a run's validation logits.

    It is None for weights that do not say: other files, and runs that are not finished.

    Raises:
        InputError: if the card has none, or the run's ``predictions.npz`` is damaged.
    """
    path = weights.path.resolve()
    if path.parent == FOLDER.resolve():
        return read_shipped_card(path)["not_a_digit_below"]
    run = path.parent.parent
    if path.name != "best.ckpt" or path.parent.name != "checkpoints" or read_metrics(run) is None:
        return None
    return _threshold_of_run(run, weights.description.num_classes)


def _threshold_of_run(run: Path, num_classes: int) -> float:
    logits = torch.from_numpy(read_predictions(run)["val_logits"])
    if logits.shape[1] != num_classes:
        raise InputError(f"{run}: predictions.npz has {logits.shape[1]} classes, and its network has {num_classes}")
    return threshold_of(logits)
