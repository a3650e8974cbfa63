"""Intervals and tests for accuracies measured with a few seeds on one test set.

Another seed trains another network: intervals over seeds. Other test images give the same network another accuracy:
McNemar's test and Cochran's Q compare single networks. `mnist_zoo.report.difference` crosses both sources of noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
POWER = 0.8
WIDE = 10.0  # percentage points: a wider half interval means that some seeds learned and others failed
# Decimals of a mean that do not depend on the order in which a version of NumPy or pandas adds. So 97.295 is written as
# the same two decimals everywhere.
EXACT = 9

Numbers = np.ndarray | Sequence[float]


def mean_interval(values: Numbers, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the mean and the half width of its Student's t interval; the half width of a single value is NaN."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    half = _t_quantile((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


@cache  # scipy takes as long for one quantile as for thousands, and a report asks for thousands of the same few
def _t_quantile(probability: float, freedom: int) -> float:
    return float(stats.t.ppf(probability, freedom))


def plus_minus(mean: float, half: float, digits: int = 2) -> str:
    """Return ``mean ± half`` for a table, or the mean alone if `half` is NaN."""
    mean = round(mean, EXACT)
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def accuracy_words(mean: float, half: float, least: float, greatest: float) -> str:
    """Return an accuracy over seeds for a table: mean and interval, or the range if the interval is too wide.

    All arguments are in per cent. If the interval would leave 0 to 100, it is that of the log-odds, written as bounds.
    """
    mean = round(mean, EXACT)
    if half > WIDE:
        return f"{least:.2f} to {greatest:.2f}"
    if 0 < mean < 100 and (mean + half > 100 or mean - half < 0):
        centre = special.logit(mean / 100)
        reach = half / 100 / (mean / 100 * (1 - mean / 100))  # the delta method: d logit(p) = dp / (p (1 - p))
        low, high = (100 * special.expit(centre + sign * reach) for sign in (-1, 1))
        return f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    return plus_minus(mean, half)


def sampling_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy for random test images; both are fractions."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def discordant(correct: np.ndarray) -> np.ndarray:
    """Count the images on which model i is correct and model j is wrong.

    Args:
        correct: bool ``(M, N)`` for M models and N images.

    Returns:
        int ``(M, M)``, indexed ``[i, j]``.
    """
    # float32 matrix products use BLAS and are exact for counts below 2**24.
    right = np.asarray(correct).astype(np.float32)
    return np.rint(right @ (1 - right).T).astype(int)


def mcnemar(only_first: np.ndarray | int, only_second: np.ndarray | int) -> np.ndarray:
    """Return the two-sided p-value of McNemar's exact test (McNemar 1947).

    Under the null hypothesis, each model is equally likely to be the correct one on an image that only one of them
    classifies correctly.

    Args:
        only_first: number of images that only the first model classifies correctly.
        only_second: the same for the second model.
    """
    only_first, only_second = np.asarray(only_first), np.asarray(only_second)
    tail = stats.binom.cdf(np.minimum(only_first, only_second), only_first + only_second, 0.5)
    return np.minimum(1.0, 2 * tail)


@dataclass(frozen=True)
class CochransQ:
    """Result of Cochran's Q test (Cochran 1950): statistic, p-value and number of models."""

    q: float
    p: float
    models: int


def cochrans_q(correct: np.ndarray) -> CochransQ:
    """Test whether models differ in accuracy on the same images; p is 1 if all are correct on the same images.

    mlxtend's implementation enumerates 2^M patterns, which is impossible for 20 models.

    Args:
        correct: bool ``(M, N)`` for M models and N images, M at least 2.
    """
    correct = np.asarray(correct).astype(int)
    count = len(correct)
    per_model, per_image = correct.sum(1), correct.sum(0)
    spread = count * per_image.sum() - (per_image**2).sum()
    if spread == 0:
        return CochransQ(0.0, 1.0, count)
    q = (count - 1) * (count * (per_model**2).sum() - per_model.sum() ** 2) / spread
    return CochransQ(float(q), float(stats.chi2.sf(q, count - 1)), count)


def holm(p: Numbers) -> np.ndarray:
    """Return p-values with Holm's correction for multiple tests (Holm 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p, dtype=float)
    corrected = np.full(p.shape, math.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int = 0) -> float:
    """Return the mean F1 score over classes.

    Args:
        labels, predicted: true and predicted classes, integers ``(N,)``.
        classes: how many there are; a class that occurs nowhere has the score 0. By default only classes that occur.
    """
    # Not sklearn's f1_score, which takes milliseconds for each network.
    totals = np.bincount(np.concatenate([labels, predicted.astype(labels.dtype)]), minlength=classes)
    correct = np.bincount(labels[labels == predicted], minlength=len(totals))
    return float((2 * correct / np.maximum(totals, 1)).sum() / (classes or (totals > 0).sum()))
