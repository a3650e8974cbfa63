"""What a few seeds and ten thousand images can and cannot tell apart.

Two kinds of noise are kept apart: another seed gives another network (intervals over seeds, Welch's test), and other
test images give another score to the same networks (Wilson's interval, McNemar's and Cochran's tests).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8
BINS = 15
WIDE = 10.0  # points: half an interval of accuracy beyond this only says that some seeds learn and others fail


def mean_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return mean and half width of Student's t interval of the mean; the half width of one value is NaN."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    quantile = stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    return float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(len(values)))


def plus_minus(mean: float, half: float, digits: int = 2) -> str:
    """Return "mean ± half" as a table shows it, the mean alone where there is no interval."""
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def accuracy_words(mean: float, half: float, least: float, greatest: float) -> str:
    """Return an accuracy over seeds, in per cent; seeds too far apart for an interval are told by their range."""
    return f"{least:.2f} to {greatest:.2f}" if half > WIDE else plus_minus(mean, half)


def single_run_half_width(values: np.ndarray, confidence: float = CONFIDENCE) -> float:
    """Return the half width of the interval, around the mean, in which one further run is expected (NaN for one)."""
    _, half = mean_interval(values, confidence)
    return half * math.sqrt(1 + len(values))


def wilson_interval(correct: int, images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval of a share of images (Wilson 1927): the noise of drawing these test images."""
    interval = stats.binomtest(correct, images).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def sampling_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy (both fractions) measured on that many images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def discordant(correct: np.ndarray) -> np.ndarray:
    """Count, for models ``(M, N)`` of bool, the images that row i has right and row j wrong: ints ``(M, M)``."""
    right = np.asarray(correct).astype(np.float32)  # floats: a product of matrices that BLAS knows; exact below 2**24
    return np.rint(right @ (1 - right).T).astype(int)


def mcnemar(only_first: np.ndarray, only_second: np.ndarray) -> np.ndarray:
    """Return McNemar's exact two-sided p from the images that one of two models alone has right (McNemar 1947).

    Under the null hypothesis each such image is a fair coin, so p is twice a binomial tail, at most 1.
    """
    only_first, only_second = np.asarray(only_first), np.asarray(only_second)
    tail = stats.binom.cdf(np.minimum(only_first, only_second), only_first + only_second, 0.5)
    return np.minimum(1.0, 2 * tail)


@dataclass(frozen=True)
class CochransQ:
    """Cochran's Q over models on the same images (Cochran 1950): do they differ at all?"""

    q: float
    p: float
    models: int


def cochrans_q(correct: np.ndarray) -> CochransQ:
    """Test models ``(M, N)`` of bool, M at least 2; p is 1 where all models have the same images right.

    (mlxtend's version goes through all 2^M patterns of right and wrong: out of reach for twenty models.)
    """
    correct = np.asarray(correct).astype(int)
    count = len(correct)
    per_model, per_image = correct.sum(1), correct.sum(0)
    spread = count * per_image.sum() - (per_image**2).sum()
    if spread == 0:
        return CochransQ(0.0, 1.0, count)
    q = (count - 1) * (count * (per_model**2).sum() - per_model.sum() ** 2) / spread
    return CochransQ(float(q), float(stats.chi2.sf(q, count - 1)), count)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=float)
    corrected = np.full(p.shape, math.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def welch(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p of Welch's t test between the scores of two sets of seeds; NaN if one has one seed."""
    if min(len(first), len(second)) < 2:
        return math.nan
    if np.ptp(first) == 0 and np.ptp(second) == 0:  # no spread at all: t is 0/0, or infinite
        return 1.0 if first[0] == second[0] else 0.0
    of_both = [figure for x in (first, second) for figure in (np.mean(x), np.std(x, ddof=1), len(x))]
    return float(stats.ttest_ind_from_stats(*of_both, equal_var=False).pvalue)


def smallest_resolved(discordant_images: int, images: int, alpha: float = 1 - CONFIDENCE) -> float:
    """Return the smallest difference of accuracies that McNemar's exact test can call significant; inf if none.

    Args:
        discordant_images: on which exactly one of the two models is right.
        images: of the test set.
        alpha: level of significance, divided by the number of comparisons.
    """
    fewest = stats.binom.ppf(alpha / 2, discordant_images, 0.5)  # the first count whose tail reaches alpha / 2
    losses = int(fewest) - 1 if 2 * stats.binom.cdf(fewest, discordant_images, 0.5) > alpha else int(fewest)
    return (discordant_images - 2 * losses) / images if losses >= 0 else math.inf


def detectable(discordant_share: float, images: int, alpha: float = 1 - CONFIDENCE, power: float = POWER) -> float:
    """Return the true difference of accuracies that McNemar's test would find with this power (Connor 1987).

    It is infinite where even the largest difference that so few discordant images allow would be missed.

    Args:
        discordant_share: share of images on which exactly one of the two models is right.
        images: of the test set.
        alpha: level of significance.
        power: probability to find the difference.
    """
    z_alpha, z_power = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)
    difference = 0.0
    for _ in range(50):  # images = ((z_a sqrt(d) + z_b sqrt(d - D^2)) / D)^2, solved for D by iteration
        rest = math.sqrt(max(0.0, discordant_share - difference**2))
        difference = (z_alpha * math.sqrt(discordant_share) + z_power * rest) / math.sqrt(images)
    return difference if difference <= discordant_share else math.inf


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities ``(N, C)`` of logits ``(N, C)``, in float64."""
    shifted = np.exp(np.asarray(logits, dtype=np.float64) - np.max(logits, axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy agree, in bins of equal width.

    Attributes:
        confidence, accuracy: mean of each bin that is not empty, float ``(B,)``.
        counts: images in it, int ``(B,)``.
        ece: expected calibration error, the mean distance weighted by the counts (Naeini et al. 2015).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    ece: float


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare the probability of the predicted class with how often it is right: ``(N, C)`` against ``(N,)``."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    used = counts > 0
    mean_confidence = np.bincount(which, confidence, bins)[used] / counts[used]
    accuracy = np.bincount(which, right, bins)[used] / counts[used]
    ece = float(np.sum(counts[used] * np.abs(accuracy - mean_confidence)) / len(labels))
    return Calibration(mean_confidence, accuracy, counts[used], ece)
