"""mnist_zoo.report.difference: its interval, its decisions and its planning, by hand and by simulation.

``python tests/test_difference.py`` prints the simulated coverage and power of docs/statistics.md.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from mnist_zoo.report.difference import (
    MARGIN,
    PAIRED_FROM,
    Differences,
    Noise,
    decide,
    detectable,
    differences,
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
    """Return the differences that `rounds` repetitions of an experiment find, each as the only one."""
    rng = np.random.default_rng(0)
    return [compare(*networks(rng, seeds, **settings)) for _ in range(rounds)]


def compare(first, second, first_seeds=None, second_seeds=None):
    """Return the difference of two configurations, given which images each network classifies correctly."""
    known = [
        scores(correct, range(len(correct)) if seeds is None else seeds)
        for correct, seeds in ((first, first_seeds), (second, second_seeds))
    ]
    return differences(known, np.array([0]), np.array([1]))


def covered(found, truth: float = 0.0) -> float:
    """Return the share of the intervals that cover the true difference."""
    return float(np.mean([abs(each.mean[0] - truth) <= each.half[0] for each in found]))


@cache
def true_gain(gain: float) -> float:
    """Return the difference in expected accuracy that a gain in log-odds makes."""
    rng = np.random.default_rng(1)
    return float(
        np.mean([first.mean() - second.mean() for first, second in (networks(rng, 20, gain) for _ in range(150))])
    )


class TestInterval:
    def test_the_variance_is_that_of_the_formula(self):
        first = np.array([[1, 1, 1, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1, 0]], bool)
        second = np.array([[1, 0, 1, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1, 0, 1]], bool)
        found = compare(first, second)
        n, count = 3, 8
        between = sum(each.var(axis=0, ddof=1).mean() for each in (first, second))
        over_seeds = sum(each.mean(axis=1).var(ddof=1) for each in (first, second)) / n
        over_images = (first.mean(axis=0) - second.mean(axis=0)).var(ddof=1) / count
        expected = over_images + max(0, over_seeds - between / (n * count))
        assert found.mean[0] == pytest.approx(first.mean() - second.mean())
        assert found.error[0] ** 2 == pytest.approx(expected)
        freedom = expected**2 / (over_images**2 / (count - 1) + over_seeds**2 / (2 * n - 2))
        assert found.freedom[0] == pytest.approx(freedom)
        assert found.noise.error(n, count)[0] <= found.error * (1 + 1e-9), "the same variances, planned for the same n"

    def test_one_seed_says_nothing_about_a_configuration(self):
        found = compare(np.ones((1, 50), bool), np.ones((3, 50), bool))
        assert np.isnan([found.error[0], found.half[0], found.p[0], found.p_equivalent()[0]]).all()
        assert decide(found).tolist() == ["undecided"]

    @pytest.mark.parametrize(
        ("first", "second", "paired"),
        [
            (range(5), range(5), True),
            (range(5), [4, 3, 2, 1, 0], True),
            (range(5), range(1, 6), False),
            (range(PAIRED_FROM - 1), range(PAIRED_FROM - 1), False),
            (range(6), range(5), False),
        ],
    )
    def test_equal_seeds_are_paired_if_there_are_enough(self, first, second, paired):
        rng = np.random.default_rng(0)
        correct = [rng.random((len(seeds), 100)) < 0.9 for seeds in (first, second)]
        assert compare(*correct, list(first), list(second)).paired.tolist() == [paired]

    def test_pairing_follows_the_seed_and_not_the_order(self):
        rng = np.random.default_rng(0)
        first, second = (rng.random((6, 500)) < 0.9 for _ in range(2))
        found, turned = compare(first, second), compare(first[::-1], second, range(5, -1, -1))
        assert (found.mean[0], found.error[0]) == pytest.approx((turned.mean[0], turned.error[0]))

    def test_networks_that_never_differ_are_equivalent(self):
        same = np.tile(np.arange(100) % 10 > 0, (3, 1))
        found = compare(same, same)
        assert (found.mean[0], found.half[0], found.p[0]) == (0, 0, 1) and decide(found).tolist() == ["equivalent"]

    def test_many_pairs_are_compared_as_each_pair_alone(self):
        rng = np.random.default_rng(0)
        known = [scores(rng.random((n, 300)) < 0.9, range(n)) for n in (3, 5, 5, 1, 6)]
        first, second = np.triu_indices(len(known), 1)
        together = differences(known, first, second)
        for place, (i, j) in enumerate(zip(first, second, strict=True)):
            alone = differences([known[i], known[j]], np.array([0]), np.array([1]))
            for name in ("mean", "error", "freedom", "paired"):
                assert getattr(together, name)[place] == pytest.approx(getattr(alone, name)[0], nan_ok=True), (i, j)


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
        parts = {part: np.mean([getattr(each.noise, part)[0] for each in found]) for part in vars(found[0].noise)}
        stated = power(truth, Noise(**parts), seeds, IMAGES)
        assert np.mean([each.p[0] < 0.05 and each.mean[0] > 0 for each in found]) == pytest.approx(stated, abs=0.06)


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
    @staticmethod
    def pairs(*numbers, freedom=20.0):
        """Return differences with these means and standard errors."""
        mean, error = np.array(numbers, dtype=float).T
        some = np.full(len(mean), 3)
        return Differences(mean, error, np.full(len(mean), freedom), some > 9, some, NOISE)

    @pytest.mark.parametrize(
        ("mean", "error", "outcome"),
        [
            (0.005, 0.001, "better"),
            (-0.005, 0.001, "worse"),
            (0.0, 0.0005, "equivalent"),
            (0.001, 0.001, "undecided"),
            (0.0012, 0.0003, "better"),  # and surely smaller than the margin
            (0.0, math.nan, "undecided"),  # a single seed
        ],
    )
    def test_a_pair_is_better_worse_equivalent_or_undecided(self, mean, error, outcome):
        assert decide(self.pairs((mean, error))).tolist() == [outcome]

    def test_many_pairs_are_corrected_for_their_number(self):
        border = (0.0024, 0.001)  # p = 0.026
        assert decide(self.pairs(border)).tolist() == ["better"]
        assert decide(self.pairs(border, *[(0.0, 0.002)] * 9))[0] == "undecided"
        assert decide(self.pairs(border, *[(0.0, math.nan)] * 9))[0] == "better", (
            "pairs with a single seed do not count"
        )

    def test_equivalence_is_two_one_sided_tests(self):
        two_errors, border = self.pairs((0.0, MARGIN / 2), freedom=math.inf), self.pairs((MARGIN, 0.001))
        assert two_errors.p_equivalent()[0] == pytest.approx(0.02275, abs=1e-4)
        assert border.p_equivalent()[0] == pytest.approx(0.5)


def print_simulation() -> None:
    """Print coverage and power as Markdown tables."""
    print("| seeds | coverage | equal seeds alike |\n| --- | --- | --- |")
    for seeds in (3, 5, 10):
        print(f"| {seeds} | {covered(simulate(seeds)):.3f} | {covered(simulate(seeds, alike=0.5)):.3f} |")
    print("\n| true difference (points) | 3 seeds | 5 seeds | 10 seeds |\n| --- | --- | --- | --- |")
    for gain in (0.2, 0.4, 0.6, 1.1):
        found = [simulate(seeds, gain=gain) for seeds in (3, 5, 10)]
        powers = [np.mean([each.p[0] < 0.05 and each.mean[0] > 0 for each in many]) for many in found]
        print(f"| {100 * true_gain(gain):.2f} | " + " | ".join(f"{share:.2f}" for share in powers) + " |")


if __name__ == "__main__":
    print_simulation()
