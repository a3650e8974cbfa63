"""Intervals and tests for accuracies measured with a few seeds on one test set.

Two sources of noise are kept apart. Another seed trains another network: intervals over seeds and Welch's test. Other
test images give the same network another accuracy: Wilson's interval, McNemar's test and Cochran's Q.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special, stats

from mnist_zoo.plots.reliability import Calibration

CONFIDENCE = 0.95
POWER = 0.8
BINS = 15
WIDE = 10.0  # percentage points: a wider half interval means that some seeds learned and others failed

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
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def accuracy_words(mean: float, half: float, least: float, greatest: float) -> str:
    """Return an accuracy over seeds for a table: mean and interval, or the range if the interval is too wide.

    All arguments are in per cent.
    """
    return f"{least:.2f} to {greatest:.2f}" if half > WIDE else plus_minus(mean, half)


def single_run_half_width(values: Numbers, confidence: float = CONFIDENCE) -> float:
    """Return the half width of the prediction interval for one further run, around the mean; NaN for one value."""
    _, half = mean_interval(values, confidence)
    return half * math.sqrt(1 + len(values))


def wilson_interval(correct: int, images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy (a fraction) for random test images (Wilson 1927)."""
    interval = stats.binomtest(correct, images).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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


def welch(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of Welch's t test between the scores of two sets of seeds.

    It is NaN if a set has one seed. If neither set varies, it is 1 for equal scores and 0 for different scores.
    """
    return float(welch_pairs([first, second], np.array([0]), np.array([1]))[0])


def welch_pairs(scores: Sequence[np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the p-value of `welch` for each of many pairs, float ``(P,)``.

    Args:
        scores: of G sets of seeds.
        first, second: index of each pair's sets in `scores`, int ``(P,)``.
    """
    counts = np.array([len(values) for values in scores])
    varies = np.array([np.ptp(values) > 0 for values in scores])
    # The mean of equal numbers can differ from them in the last bit.
    means = np.array([np.mean(v) if differ else v[0] for v, differ in zip(scores, varies, strict=True)])
    deviations = np.array([np.std(v, ddof=1) if differ else 0.0 for v, differ in zip(scores, varies, strict=True)])
    p = np.where(means[first] == means[second], 1.0, 0.0)  # where neither set varies, t would be 0/0 or infinite
    tested = varies[first] | varies[second]
    one, two = first[tested], second[tested]
    sets = (means[one], deviations[one], counts[one], means[two], deviations[two], counts[two])
    with np.errstate(invalid="ignore", divide="ignore"):  # pairs with one seed, which are NaN below
        # Not ttest_ind: it warns if one of the sets does not vary.
        p[tested] = stats.ttest_ind_from_stats(*sets, equal_var=False).pvalue
    p[(counts[first] < 2) | (counts[second] < 2)] = math.nan
    return p


def smallest_resolved(discordant_images: np.ndarray | int, images: int, alpha: float = 1 - CONFIDENCE) -> np.ndarray:
    """Return the smallest difference in accuracy that McNemar's exact test can call significant; infinite if none.

    Args:
        discordant_images: number of images that exactly one of the two models classifies correctly, of any shape.
        images: size of the test set.
        alpha: significance level, already divided by the number of comparisons.
    """
    total = np.asarray(discordant_images)
    fewest = stats.binom.ppf(alpha / 2, total, 0.5)  # the first count whose tail reaches alpha / 2
    losses = np.where(2 * stats.binom.cdf(fewest, total, 0.5) > alpha, fewest - 1, fewest)
    return np.where(losses >= 0, (total - 2 * losses) / images, math.inf)


def detectable(discordant_share: float, images: int, alpha: float = 1 - CONFIDENCE, power: float = POWER) -> float:
    """Return the true difference in accuracy that McNemar's test detects with the given power (Connor 1987).

    It is infinite if it would exceed the share of discordant images, the largest possible difference.

    Args:
        discordant_share: share of the images that exactly one of the two models classifies correctly.
        images: size of the test set.
        alpha: significance level.
        power: probability that the test detects the difference.
    """
    z_alpha, z_power = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)
    difference = 0.0
    for _ in range(50):  # solves images = ((z_a sqrt(d) + z_b sqrt(d - D^2)) / D)^2 for D by fixed-point iteration
        rest = math.sqrt(max(0.0, discordant_share - difference**2))
        difference = (z_alpha * math.sqrt(discordant_share) + z_power * rest) / math.sqrt(images)
    return difference if difference <= discordant_share else math.inf


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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits ``(N, C)``, computed in float64."""
    return special.softmax(np.asarray(logits, dtype=np.float64), axis=1)


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare the probability of the predicted class with the accuracy, in bins of equal width.

    Args:
        probabilities: ``(N, C)``.
        labels: true classes, ``(N,)``.
        bins: number of bins between 0 and 1; a bin includes its upper edge.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    used = counts > 0
    mean_confidence = np.bincount(which, confidence, bins)[used] / counts[used]
    accuracy = np.bincount(which, correct, bins)[used] / counts[used]
    ece = float(np.sum(counts[used] * np.abs(accuracy - mean_confidence)) / len(labels))
    return Calibration(mean_confidence, accuracy, counts[used], ece)
