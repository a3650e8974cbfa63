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
from typing import Any

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
    """Variances that make up the noise of differences between two configurations, numbers or arrays ``(P,)``.

    Attributes:
        images: of the expected difference over images.
        seeds: of a configuration's accuracy over seeds, apart from what a seed does to single images.
        single: between seeds on one image, averaged over images.
    """

    images: Any
    seeds: Any
    single: Any

    def error(self, seeds: Any, images: int) -> tuple[Any, Any]:
        """Return the standard error and the degrees of freedom with the same n seeds for both, and N images."""
        by_image = (self.images + 2 * self.single / seeds) / images
        by_seed = 2 * self.seeds / seeds
        whole = by_seed + 2 * self.single / (seeds * images)  # S²(A) / n + S²(B) / n
        freedom = np.where(np.asarray(seeds) >= PAIRED_FROM, 1, 2) * (seeds - 1)
        return _satterthwaite(by_image, by_seed, whole, images, freedom)


def _satterthwaite(by_image: Any, by_seed: Any, whole: Any, images: int, freedom: Any) -> tuple[Any, Any]:
    """Return the standard error, and its degrees of freedom: those of two independent estimates, added."""
    variance = np.asarray(by_image + by_seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = by_image**2 / (images - 1) + np.square(whole) / freedom
        return np.sqrt(variance), np.where(spread > 0, variance**2 / spread, math.inf)


@dataclass(frozen=True)
class Differences:
    """The accuracy of a first configuration minus that of a second one, for P pairs, as fractions.

    Attributes:
        mean: over seeds and images, float64 ``(P,)``.
        error: its standard error over seeds and images, ``(P,)``; NaN if one of the two has a single seed.
        freedom: degrees of freedom of `error`, ``(P,)``.
        paired: whether the seeds were paired, bool ``(P,)``.
        seeds: of the configuration that has fewer, int ``(P,)``.
        noise: the variances behind `error`.
    """

    mean: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    paired: np.ndarray
    seeds: np.ndarray
    noise: Noise

    @property
    def half(self) -> np.ndarray:
        """Half the 95 % interval."""
        return np.where(self.error == 0, 0.0, stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.error)

    @property
    def p(self) -> np.ndarray:
        """Two-sided p-value of no difference, corrected for the number of pairs (Holm)."""
        return holm(np.minimum(1.0, 2 * self._tail(np.abs(self.mean))))

    def p_equivalent(self, margin: float = MARGIN) -> np.ndarray:
        """Return the p-value of a difference of `margin` or more, likewise: two one-sided tests (TOST)."""
        return holm(self._tail(margin - np.abs(self.mean)))

    def _tail(self, distance: np.ndarray) -> np.ndarray:
        """Return the probability that a mean deviates by more than `distance` to one side."""
        certain = np.where(distance == 0, 0.5, np.where(distance > 0, 0.0, 1.0))  # if nothing varies
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.error == 0, certain, stats.t.sf(distance / self.error, self.freedom))


def differences(known: Sequence[Scores], first: np.ndarray, second: np.ndarray) -> Differences:
    """Compare pairs of configurations on the same images.

    Seeds are paired if both configurations have the same ones, at least `PAIRED_FROM`: equal seeds share the order of
    the training images and the split.

    Args:
        known: of each configuration.
        first, second: index of each pair's configurations in `known`, int ``(P,)``.
    """
    images = len(known[0].per_image)
    counts = np.array([len(each.seeds) for each in known])
    means = np.array([each.per_seed.mean() for each in known])
    between = np.array([each.between for each in known]) / counts
    squares = np.array([np.var(each.per_seed) * len(each.seeds) for each in known])
    single = between[first] + between[second]
    spread = _variances_of_differences(np.stack([each.per_image for each in known]))[first, second]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_seed = 1 / counts[first] + 1 / counts[second]
        freedom = counts[first] + counts[second] - 2.0
        whole = (squares[first] + squares[second]) / freedom * per_seed
    apart = _paired_variances(known)[first, second]
    paired = ~np.isnan(apart)
    whole = np.where(paired, apart / counts[first], whole)
    freedom = np.where(paired, counts[first] - 1.0, freedom)
    by_seed = np.maximum(0.0, whole - single / images)
    error, degrees = _satterthwaite(spread / images, by_seed, whole, images, freedom)
    noise = Noise(
        images=np.maximum(0.0, spread - single),
        seeds=by_seed / per_seed,
        single=(between * counts)[first] / 2 + (between * counts)[second] / 2,
    )
    least = np.minimum(counts[first], counts[second])
    error = np.where(least < 2, math.nan, error)
    return Differences(means[first] - means[second], error, degrees, paired, least, noise)


def _variances_of_differences(rows: np.ndarray) -> np.ndarray:
    """Return the variance of ``rows[i] - rows[j]``, ``(K, K)``, for rows ``(K, N)``."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    products = centred @ centred.T / (rows.shape[1] - 1)
    own = np.diagonal(products)
    return np.maximum(0.0, own[:, None] + own - 2 * products)


def _paired_variances(known: Sequence[Scores]) -> np.ndarray:
    """Return the variance over seeds of the difference of each pair, ``(K, K)``; NaN where seeds are not paired."""
    found = np.full((len(known), len(known)), math.nan)
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, each in enumerate(known):
        groups.setdefault(tuple(sorted(each.seeds)), []).append(place)
    for seeds, members in groups.items():
        if len(seeds) >= PAIRED_FROM:
            rows = np.stack([known[place].per_seed[np.argsort(known[place].seeds)] for place in members])
            found[np.ix_(members, members)] = _variances_of_differences(rows)
    return found


def decide(found: Differences, margin: float = MARGIN) -> np.ndarray:
    """Return ``better``, ``worse``, ``equivalent`` or ``undecided`` for each pair, text ``(P,)``.

    A difference that is significant but surely smaller than the margin counts as better or worse. A pair with a single
    seed is undecided.
    """
    differs, equal = found.p < ALPHA, found.p_equivalent(margin) < ALPHA
    better = np.where(found.mean > 0, "better", "worse")
    return np.where(differs, better, np.where(equal, "equivalent", "undecided"))


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


def detectable(noise: Noise, seeds: Any, images: int, pairs: int = 1, wanted: float = POWER) -> Any:
    """Return the true difference that is found with the probability `wanted`, to about 3 %; arrays give an array.

    It is the sum of two quantiles of Student's t times the standard error, the textbooks' formula for sample sizes.
    """
    error, freedom = noise.error(seeds, images)
    return (stats.t.isf(ALPHA / pairs / 2, freedom) + stats.t.ppf(wanted, freedom)) * error


def seeds_needed(true: float, noise: Noise, images: int, pairs: int = 1, wanted: float = POWER) -> int | None:
    """Return how many seeds of each configuration find a true difference with the probability `wanted`.

    None if no more than `MOST_SEEDS` seeds do: the number of test images is then the limit.
    """
    counts = np.arange(2, MOST_SEEDS + 1)
    enough = detectable(noise, counts, images, pairs, wanted) <= true
    return int(counts[enough.argmax()]) if enough.any() else None
