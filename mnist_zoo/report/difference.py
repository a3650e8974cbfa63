"""The difference in accuracy between two configurations, for other seeds and other test images.

Both are random samples: another seed trains another network, and other images are easier or harder. A difference that
is to hold for the configurations, and not only for the networks at hand, needs an interval that crosses both:

    Var = S²(d) / N + max(0, S²(A) / n + S²(B) / n - (r(A) + r(B)) / (n N))

d is the difference of the two configurations on each of N images, averaged over n seeds; S²(d) its variance over
images. S²(A) is the variance of A's accuracy over seeds, and r(A) the variance between seeds on one image, averaged
over images. The first term holds the choice of images and what a seed does to single images. The second holds what a
seed does to all images alike. (A crossed random effects model: Searle, Casella and McCulloch 1992, chapter 4; degrees
of freedom after Satterthwaite 1946. tests/test_difference.py simulates its coverage and power.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mnist_zoo.report.statistics import CONFIDENCE, POWER, holm

ALPHA = 1 - CONFIDENCE
MARGIN = 0.002  # a smaller difference in accuracy does not matter in practice: 0.2 percentage points
PAIRED_FROM = 5  # shared seeds; with fewer, pairing costs more degrees of freedom than it gains (simulated)
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Scores:
    """What a configuration's predictions say about its accuracy.

    Attributes:
        per_image: share of the seeds whose network is correct, float64 ``(N,)``.
        per_seed: accuracy of each seed, float64 ``(n,)``.
        between: variance between seeds on one image, averaged over images (NaN for one seed).
        seeds: the seeds, in the order of `per_seed`.
    """

    per_image: np.ndarray
    per_seed: np.ndarray
    between: float
    seeds: tuple[int, ...]


def scores(correct: np.ndarray, seeds: Sequence[int]) -> Scores:
    """Return the scores of one configuration.

    Args:
        correct: whether the network of each seed classifies each image correctly, bool ``(n, N)``.
        seeds: the n seeds.
    """
    count = len(correct)
    per_image = correct.mean(axis=0)
    between = float((per_image * (1 - per_image)).mean() * count / (count - 1)) if count > 1 else math.nan
    return Scores(per_image, correct.mean(axis=1), between, tuple(seeds))


@dataclass(frozen=True)
class Noise:
    """Variances that make up the noise of a difference between two configurations.

    Attributes:
        images: of the expected difference over images.
        seeds: of a configuration's accuracy over seeds, apart from what a seed does to single images.
        single: between seeds on one image, averaged over images.
    """

    images: float
    seeds: float
    single: float

    def error(self, seeds: int, images: int) -> tuple[float, float]:
        """Return the standard error and the degrees of freedom with the same n seeds for both, and N images."""
        by_image = (self.images + 2 * self.single / seeds) / images
        by_seed = 2 * self.seeds / seeds
        whole = by_seed + 2 * self.single / (seeds * images)  # S²(A) / n + S²(B) / n
        freedom = (1 if seeds >= PAIRED_FROM else 2) * (seeds - 1)
        return _satterthwaite(by_image, by_seed, whole, images, freedom)


def _satterthwaite(by_image: float, by_seed: float, whole: float, images: int, freedom: int) -> tuple[float, float]:
    """Return the standard error, and its degrees of freedom: those of two independent estimates, added."""
    variance = by_image + by_seed
    spread = by_image**2 / (images - 1) + whole**2 / freedom
    return math.sqrt(variance), variance**2 / spread if spread else math.inf


@dataclass(frozen=True)
class Difference:
    """The accuracy of a first configuration minus that of a second one, as fractions.

    Attributes:
        mean: over seeds and images.
        error: its standard error over seeds and images.
        freedom: degrees of freedom of `error`.
        paired: whether the seeds were paired.
        noise: the variances behind `error`.
    """

    mean: float
    error: float
    freedom: float
    paired: bool
    noise: Noise


@dataclass(frozen=True)
class Intervals:
    """Intervals and tests of many differences, arrays with one element for each; NaN where there is no difference.

    Attributes:
        half: half the 95 % interval.
        p: two-sided p-value of no difference, corrected for the number of differences (Holm).
        p_equivalent: p-value of a difference of the margin or more, likewise: the larger of two one-sided tests (TOST).
    """

    half: np.ndarray
    p: np.ndarray
    p_equivalent: np.ndarray


def intervals_of(differences: Sequence[Difference | None], margin: float = MARGIN) -> Intervals:
    """Return the tests of all differences; None (a configuration with a single seed) cannot be tested."""
    numbers = [(math.nan,) * 3 if each is None else (each.mean, each.error, each.freedom) for each in differences]
    mean, error, freedom = np.array(numbers, dtype=float).reshape(-1, 3).T
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    apart, near = (_tail(distance, error, freedom) for distance in (np.abs(mean), margin - np.abs(mean)))
    return Intervals(np.where(error == 0, 0.0, half), holm(np.minimum(1.0, 2 * apart)), holm(near))


def _tail(distance: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the probability that a mean deviates by more than `distance` to one side."""
    certain = np.where(distance == 0, 0.5, np.where(distance > 0, 0.0, 1.0))  # if nothing varies
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, certain, stats.t.sf(distance / error, freedom))


OUTCOMES = ("better", "worse", "equivalent", "undecided")


def decide(differences: Sequence[Difference | None], margin: float = MARGIN) -> list[str]:
    """Return one of `OUTCOMES` for each difference: whether the first configuration is better than the second one.

    A difference that is significant but surely smaller than the margin counts as better or worse. None is undecided.
    """
    tests, outcomes = intervals_of(differences, margin), []
    for each, p, p_equivalent in zip(differences, tests.p, tests.p_equivalent, strict=True):
        if each is not None and p < ALPHA:
            outcomes.append("better" if each.mean > 0 else "worse")
        else:
            outcomes.append("equivalent" if p_equivalent < ALPHA else "undecided")
    return outcomes


def difference(first: Scores, second: Scores) -> Difference | None:
    """Compare two configurations on the same images; None if one of them has a single seed.

    Seeds are paired if both configurations have the same ones, at least `PAIRED_FROM`: equal seeds share the order of
    the training images and the split.
    """
    counts = len(first.per_seed), len(second.per_seed)
    if min(counts) < 2:
        return None
    images = len(first.per_image)
    single = first.between / counts[0] + second.between / counts[1]
    spread = float(np.var(first.per_image - second.per_image, ddof=1))
    paired = sorted(first.seeds) == sorted(second.seeds) and counts[0] >= PAIRED_FROM
    if paired:
        apart = first.per_seed[np.argsort(first.seeds)] - second.per_seed[np.argsort(second.seeds)]
        whole, freedom = float(np.var(apart, ddof=1)) / counts[0], counts[0] - 1
    else:
        freedom = sum(counts) - 2
        squares = sum(float(np.var(each.per_seed)) * len(each.per_seed) for each in (first, second))
        whole = squares / freedom * (1 / counts[0] + 1 / counts[1])
    by_seed = max(0.0, whole - single / images)
    error, degrees = _satterthwaite(spread / images, by_seed, whole, images, freedom)
    noise = Noise(
        images=max(0.0, spread - single),
        seeds=by_seed / (1 / counts[0] + 1 / counts[1]),
        single=(first.between + second.between) / 2,
    )
    mean = float(first.per_seed.mean() - second.per_seed.mean())
    return Difference(mean, error, degrees, paired, noise)


def power(true: float, noise: Noise, seeds: int, images: int, pairs: int = 1) -> float:
    """Return the probability that a true difference is called one.

    Args:
        true: the difference in accuracy, a fraction.
        noise: of the difference.
        seeds: of each configuration, at least 2.
        images: test images.
        pairs: number of pairs that are tested; the first step of Holm's correction.
    """
    error, freedom = noise.error(seeds, images)
    if not error:
        return float(true != 0)
    critical, shift = stats.t.isf(ALPHA / pairs / 2, freedom), abs(true) / error
    return float(stats.nct.sf(critical, freedom, shift))


def detectable(noise: Noise, seeds: int, images: int, pairs: int = 1, wanted: float = POWER) -> float:
    """Return the true difference that is found with the probability `wanted`, to about 3 %.

    It is the sum of two quantiles of Student's t times the standard error, the textbooks' formula for sample sizes.
    """
    error, freedom = noise.error(seeds, images)
    return float((stats.t.isf(ALPHA / pairs / 2, freedom) + stats.t.ppf(wanted, freedom)) * error)


def seeds_needed(true: float, noise: Noise, images: int, pairs: int = 1, wanted: float = POWER) -> int | None:
    """Return how many seeds of each configuration find a true difference with the probability `wanted`.

    None if no more than `MOST_SEEDS` seeds do: the number of test images is then the limit.
    """
    if detectable(noise, MOST_SEEDS, images, pairs, wanted) > true:
        return None
    return next(n for n in range(2, MOST_SEEDS + 1) if detectable(noise, n, images, pairs, wanted) <= true)
