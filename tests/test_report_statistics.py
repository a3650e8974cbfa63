"""Statistics against figures worked out by hand, and against libraries where they have the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mlxtend.evaluate import cochrans_q as mlxtend_cochrans_q
from torchmetrics.functional.classification import multiclass_calibration_error

from mnist_zoo.report import statistics as st


def test_the_interval_of_a_mean_is_students():
    mean, half = st.mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t(0.975, 2) * s / sqrt(n), s = 1
    assert st.single_run_half_width([1.0, 2.0, 3.0]) == pytest.approx(4.302653 * math.sqrt(4 / 3), rel=1e-6)
    mean, half = st.mean_interval([0.5])
    assert (mean, math.isnan(half)) == (0.5, True), "one seed has no interval"


def test_wilsons_interval_and_the_error_of_drawing_images():
    k, n, z = 9910, 10_000, 1.959964
    centre, half = (k + z**2 / 2) / (n + z**2), z * math.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    assert st.wilson_interval(k, n) == pytest.approx((centre - half, centre + half), abs=1e-8)
    assert st.sampling_error(0.991, 10_000) == pytest.approx(0.00094, abs=1e-5)


# images that only the first has right, only the second, p: twice the binomial tail, at most 1
MCNEMAR = [(5, 0, 2 / 2**5), (6, 0, 2 / 2**6), (1, 7, 2 * 9 / 2**8), (3, 3, 1.0), (0, 0, 1.0)]


@pytest.mark.parametrize(("first", "second", "p"), MCNEMAR)
def test_mcnemar_is_exact(first, second, p):
    assert st.mcnemar(first, second) == pytest.approx(p)


def test_discordant_images_are_counted_for_every_pair():
    correct = np.array([[1, 1, 1, 0], [1, 0, 0, 1]], dtype=bool)
    assert st.discordant(correct).tolist() == [[0, 2], [1, 0]]


def test_cochrans_q_by_hand_and_as_mlxtend_has_it():
    correct = np.array([[1, 1, 1, 0, 1, 1], [1, 0, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0]], dtype=bool)
    # column totals 5, 3, 2; rows 2, 1, 3, 0, 3, 1: Q = 2 (3 * 38 - 100) / (3 * 10 - 24) = 28 / 6
    found = st.cochrans_q(correct)
    assert found.q == pytest.approx(28 / 6)
    q, p = mlxtend_cochrans_q(np.ones(6), *correct.astype(float))
    assert (found.q, found.p) == pytest.approx((q, p))
    assert st.cochrans_q(np.ones((3, 4), bool)).p == 1.0, "no image tells the models apart"


def test_holm_corrects_for_the_number_of_comparisons():
    assert st.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert st.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    with_gap = st.holm([math.nan, 0.02])
    assert math.isnan(with_gap[0])
    assert with_gap[1] == 0.02, "what could not be asked does not count"


def test_welch_needs_two_seeds_each():
    assert math.isnan(st.welch(np.array([0.99]), np.array([0.98, 0.97])))
    assert st.welch(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 1.0
    assert st.welch(np.array([0.5, 0.5]), np.array([0.6, 0.6])) == 0.0
    # means 2 and 5, variances 1 and 1, n = 3: t = -3.674235 with 4 degrees of freedom
    assert st.welch(np.array([1.0, 2, 3]), np.array([4.0, 5, 6])) == pytest.approx(0.021312, abs=1e-6)


def test_the_smallest_difference_that_can_be_resolved():
    assert st.smallest_resolved(5, 1000) == math.inf, "5 to 0 has p = 0.0625"
    assert st.smallest_resolved(6, 1000) == pytest.approx(6 / 1000), "6 to 0 has p = 0.03125"
    for count in (20, 101, 500):
        least = round(st.smallest_resolved(count, 1000) * 1000)
        losses = (count - least) // 2
        assert st.mcnemar(count - losses, losses) <= 0.05 < st.mcnemar(count - losses - 1, losses + 1)


def test_the_difference_that_would_be_found_four_times_in_five():
    found = st.detectable(0.01, 10_000)
    wanted = (1.959964 * math.sqrt(0.01) + 0.841621 * math.sqrt(0.01 - found**2)) / 100
    assert found == pytest.approx(wanted, rel=1e-5)
    rng = np.random.default_rng(0)  # and by drawing: b and c of 10,000 images with that true difference
    draws = rng.multinomial(10_000, [(0.01 + found) / 2, (0.01 - found) / 2, 0.99], size=4000)
    power = (st.mcnemar(draws[:, 0], draws[:, 1]) < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.04)
    assert st.detectable(0.0001, 1000) == math.inf, "more than all discordant images"


def test_calibration_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(500, 10)), rng.integers(0, 10, 500)
    probabilities = st.softmax(logits)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(500))
    expected = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), num_classes=10, n_bins=15, norm="l1"
    )
    found = st.calibration(probabilities, labels)
    assert found.ece == pytest.approx(float(expected), abs=1e-6)
    assert found.counts.sum() == 500


def test_the_calibration_error_of_four_images_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = st.calibration(probabilities, np.array([0, 1, 0, 0]), bins=5)
    # right in 1 of 2 at confidence 0.9, in 2 of 2 at 0.6: (2 * 0.4 + 2 * 0.4) / 4
    assert found.ece == pytest.approx(0.4)
