"""mnist_zoo.report.difference: its interval, its decisions and its planning, by hand and by simulation."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from mnist_zoo.report.difference import (
    MARGIN,
    PAIRED_FROM,
    Difference,
    Noise,
    decide,
    detectable,
    difference,
    intervals_of,
    power,
    scores,
    seeds_needed,
)

IMAGES = 10_000
HARD = 400  # images that a network may get wrong; it is correct on all others
ROUNDS = 1000


def networks(rng, seeds: int, gain: float = 0.0, seed_spread: float = 0.2, alike: float = 0.0):
    """Return which images the networks of two configurations classify correctly, each bool ``(seeds, IMAGES)``.

    The log-odds of a hard image are the sum of its difficulty, of what the configuration does to this image, of what
    the seed does to all images, and for the first configuration of a gain. With these numbers the mean accuracy is
    98.7 %, its standard deviation over seeds 0.11 points, and two seeds disagree on 1.1 % of the images. `alike` is the
    correlation of equal seeds of the two configurations.
    """
    hard = rng.binomial(IMAGES, HARD / IMAGES)
    difficulty, shared = rng.normal(1.3, 2.0, hard), rng.normal(size=seeds)
    for shift in (gain, 0.0):
        own = math.sqrt(alike) * shared + math.sqrt(1 - alike) * rng.normal(size=seeds)
        odds = difficulty + rng.normal(0, 0.7, hard) + shift + seed_spread * own[:, None]
        correct = np.ones((seeds, IMAGES), bool)
        correct[:, :hard] = rng.random((seeds, hard)) < 1 / (1 + np.exp(-odds))
        yield correct


def simulate(seeds: int, rounds: int = ROUNDS, **settings):
    """Return the differences that `rounds` repetitions of an experiment find."""
    rng = np.random.default_rng(0)
    pairs = (tuple(networks(rng, seeds, **settings)) for _ in range(rounds))
    return [difference(*(scores(each, range(seeds)) for each in pair)) for pair in pairs]


def covered(found, truth: float = 0.0) -> float:
    """Return the share of the intervals that cover the true difference."""
    means = np.array([each.mean for each in found])
    return float(np.mean(np.abs(means - truth) <= intervals_of(found).half))


def p_alone(each) -> float:
    return float(intervals_of([each]).p[0])


@cache
def true_gain(gain: float) -> float:
    """Return the difference in expected accuracy that a gain in log-odds makes."""
    rng = np.random.default_rng(1)
    first, second = (np.mean([each[k].mean() for each in _many(rng, gain)]) for k in (0, 1))
    return float(first - second)


def _many(rng, gain):
    return [tuple(networks(rng, 20, gain)) for _ in range(150)]


class TestInterval:
    def test_the_variance_is_that_of_the_formula(self):
        first = np.array([[1, 1, 1, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1, 0]], bool)
        second = np.array([[1, 0, 1, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1, 0, 1]], bool)
        found = difference(scores(first, range(3)), scores(second, range(3)))
        n, count = 3, 8
        between = sum(each.var(axis=0, ddof=1).mean() for each in (first, second))
        over_seeds = sum(each.mean(axis=1).var(ddof=1) for each in (first, second)) / n
        over_images = (first.mean(axis=0) - second.mean(axis=0)).var(ddof=1) / count
        expected = over_images + max(0, over_seeds - between / (n * count))
        assert found.mean == pytest.approx(first.mean() - second.mean())
        assert found.error**2 == pytest.approx(expected)
        assert found.freedom == pytest.approx(
            expected**2 / (over_images**2 / (count - 1) + over_seeds**2 / (2 * n - 2))
        )
        assert found.noise.error(n, count)[0] <= found.error * (1 + 1e-9), "the same variances, planned for the same n"

    def test_one_seed_says_nothing_about_a_configuration(self):
        one, three = np.ones((1, 50), bool), np.ones((3, 50), bool)
        assert difference(scores(one, [0]), scores(three, [0, 1, 2])) is None

    @pytest.mark.parametrize(
        ("first", "second", "paired"),
        [(range(5), range(5), True), (range(5), [4, 3, 2, 1, 0], True), (range(5), range(1, 6), False),
         (range(PAIRED_FROM - 1), range(PAIRED_FROM - 1), False), (range(6), range(5), False)],
    )  # fmt: skip
    def test_equal_seeds_are_paired_if_there_are_enough(self, first, second, paired):
        rng = np.random.default_rng(0)
        found = difference(*(scores(rng.random((len(seeds), 100)) < 0.9, list(seeds)) for seeds in (first, second)))
        assert found.paired is paired

    def test_pairing_follows_the_seed_and_not_the_order(self):
        rng = np.random.default_rng(0)
        first, second = (rng.random((6, 500)) < 0.9 for _ in range(2))
        found = difference(scores(first, range(6)), scores(second, range(6)))
        turned = difference(scores(first[::-1], range(5, -1, -1)), scores(second, range(6)))
        assert (found.mean, found.error) == pytest.approx((turned.mean, turned.error))

    def test_networks_that_never_differ_are_equivalent(self):
        same = scores(np.tile(np.arange(100) % 10 > 0, (3, 1)), range(3))
        found = difference(same, same)
        assert (found.mean, found.half, found.p) == (0, 0, 1) and decide([found]) == ["equivalent"]


class TestSimulation:
    """An interval that crosses seeds and images covers the truth as often as it says."""

    @pytest.mark.parametrize("seeds", [3, 5, 10])
    def test_the_interval_covers_no_difference(self, seeds):
        found = simulate(seeds)
        assert 0.94 <= covered(found) <= 0.97

    @pytest.mark.parametrize("seeds", [5, 10])
    def test_it_does_so_if_equal_seeds_are_alike(self, seeds):
        found = simulate(seeds, alike=0.5)
        assert 0.94 <= covered(found) <= 0.97

    @pytest.mark.parametrize("seeds", [3, 10])
    def test_it_covers_a_true_difference(self, seeds):
        truth = true_gain(0.5)
        found = simulate(seeds, gain=0.5)
        assert 0.94 <= covered(found, truth) <= 0.98

    @pytest.mark.parametrize(("seeds", "gain"), [(3, 0.5), (5, 0.5), (5, 0.3), (10, 0.2)])
    def test_the_power_is_the_one_that_is_stated(self, seeds, gain):
        truth, found = true_gain(gain), simulate(seeds, gain=gain)
        parts = {part: float(np.mean([getattr(each.noise, part) for each in found])) for part in vars(found[0].noise)}
        stated = power(truth, Noise(**parts), seeds, IMAGES)
        assert np.mean([p_alone(each) < 0.05 and each.mean > 0 for each in found]) == pytest.approx(stated, abs=0.06)


NOISE = Noise(images=0.004, seeds=4e-7, single=0.004)


class TestPlanning:
    def test_the_detectable_difference_is_found_four_times_in_five(self):
        for seeds, pairs in ((3, 1), (5, 1), (5, 21)):
            assert power(detectable(NOISE, seeds, IMAGES, pairs), NOISE, seeds, IMAGES, pairs) == pytest.approx(
                0.8, abs=0.02
            )

    def test_more_seeds_find_less_but_images_set_a_limit(self):
        found = [detectable(NOISE, seeds, IMAGES) for seeds in (2, 3, 5, 10, 100)]
        assert found == sorted(found, reverse=True) and found[-1] > 2.8 * math.sqrt(NOISE.images / IMAGES)

    def test_the_seeds_needed_are_the_fewest(self):
        seeds = seeds_needed(0.003, NOISE, IMAGES)
        assert detectable(NOISE, seeds, IMAGES) <= 0.003 < detectable(NOISE, seeds - 1, IMAGES)
        assert seeds_needed(0.0005, NOISE, IMAGES) is None, "10,000 images are too few for this difference"


class TestDecisions:
    def pair(self, mean, error, freedom=20.0):
        return Difference(mean, error, freedom, False, NOISE)

    @pytest.mark.parametrize(
        ("mean", "error", "outcome"),
        [
            (0.005, 0.001, "better"),
            (-0.005, 0.001, "worse"),
            (0.0, 0.0005, "equivalent"),
            (0.001, 0.001, "undecided"),
            (0.0012, 0.0003, "better"),  # and surely smaller than the margin
        ],
    )
    def test_a_pair_is_better_worse_equivalent_or_undecided(self, mean, error, outcome):
        assert decide([self.pair(mean, error)]) == [outcome]

    def test_many_pairs_are_corrected_for_their_number(self):
        border = self.pair(0.0024, 0.001)  # p = 0.026
        assert decide([border]) == ["better"]
        assert decide([border] + [self.pair(0.0, 0.002)] * 9)[0] == "undecided"

    def test_a_pair_with_one_seed_is_undecided_and_not_counted(self):
        assert decide([None, self.pair(0.0024, 0.001)]) == ["undecided", "better"]

    def test_equivalence_is_two_one_sided_tests(self):
        two_errors, border = self.pair(0.0, MARGIN / 2, math.inf), self.pair(MARGIN, 0.001)
        assert intervals_of([two_errors]).p_equivalent[0] == pytest.approx(0.02275, abs=1e-4)
        assert intervals_of([border]).p_equivalent[0] == pytest.approx(0.5)
