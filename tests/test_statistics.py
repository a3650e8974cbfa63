"""mnist_zoo.report.statistics against values worked out by hand, and against independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mlxtend.evaluate import cochrans_q as mlxtend_cochrans_q
from sklearn.metrics import f1_score
from torchmetrics.functional.classification import multiclass_calibration_error

from mnist_zoo.report import statistics as st

T_QUANTILE = 4.302653  # Student's t, 97.5 %, 2 degrees of freedom
Z_QUANTILE, Z_POWER = 1.959964, 0.841621  # normal distribution, 97.5 % and 80 %


def test_the_interval_of_a_mean_is_students():
    mean, half = st.mean_interval([1.0, 2.0, 3.0])  # standard deviation 1
    assert mean == 2.0
    assert half == pytest.approx(T_QUANTILE / math.sqrt(3), rel=1e-6)
    assert st.single_run_half_width([1.0, 2.0, 3.0]) == pytest.approx(T_QUANTILE * math.sqrt(4 / 3), rel=1e-6)


def test_one_seed_has_no_interval():
    mean, half = st.mean_interval([0.5])
    assert mean == 0.5 and math.isnan(half)
    assert math.isnan(st.single_run_half_width([0.5]))


WORDS = [  # mean, half, least, greatest; text; why
    ((98.0, 1.234, 97.0, 99.0), "98.00 ± 1.23", "an interval"),
    ((98.0, math.nan, 98.0, 98.0), "98.00", "one seed"),
    ((66.0, 120.0, 10.0, 99.0), "10.00 to 99.00", "too wide: some seeds failed"),
]


@pytest.mark.parametrize(("numbers", "text", "why"), WORDS, ids=[case[2] for case in WORDS])
def test_an_accuracy_in_a_table(numbers, text, why):
    assert st.accuracy_words(*numbers) == text, why


def test_wilsons_interval_and_the_sampling_error():
    k, n, z = 9910, 10_000, Z_QUANTILE
    centre, half = (k + z**2 / 2) / (n + z**2), z * math.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    assert st.wilson_interval(k, n) == pytest.approx((centre - half, centre + half), abs=1e-8)
    assert st.sampling_error(0.991, 10_000) == pytest.approx(0.00094, abs=1e-5)


MCNEMAR = [  # images that only the first, only the second classifies correctly; p: twice the binomial tail, at most 1
    (5, 0, 2 / 2**5),
    (6, 0, 2 / 2**6),
    (1, 7, 2 * 9 / 2**8),
    (3, 3, 1.0),
    (0, 0, 1.0),
]


@pytest.mark.parametrize(("first", "second", "p"), MCNEMAR)
def test_mcnemars_test_is_exact(first, second, p):
    assert st.mcnemar(first, second) == pytest.approx(p)


def test_discordant_images_are_counted_for_every_pair():
    correct = np.array([[1, 1, 1, 0], [1, 0, 0, 1]], dtype=bool)
    assert st.discordant(correct).tolist() == [[0, 2], [1, 0]]


def test_cochrans_q_equals_the_formula_and_mlxtend():
    correct = np.array([[1, 1, 1, 0, 1, 1], [1, 0, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0]], dtype=bool)
    # Sums per model 5, 3, 2; per image 2, 1, 3, 0, 3, 1: Q = 2 (3 * 38 - 100) / (3 * 10 - 24) = 28 / 6
    found = st.cochrans_q(correct)
    assert found.q == pytest.approx(28 / 6)
    assert (found.q, found.p) == pytest.approx(mlxtend_cochrans_q(np.ones(6), *correct.astype(float)))


def test_cochrans_q_of_models_that_are_correct_on_the_same_images():
    assert st.cochrans_q(np.ones((3, 4), bool)).p == 1.0


HOLM = [  # p-values, corrected p-values, why
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], "sorted, then times 4, 3, 2, 1, never decreasing"),
    ([0.9, 0.8], [1.0, 1.0], "at most 1"),
    ([math.nan, 0.02], [math.nan, 0.02], "a comparison that was not possible does not count"),
]


@pytest.mark.parametrize(("p", "corrected", "why"), HOLM, ids=[case[2] for case in HOLM])
def test_holms_correction(p, corrected, why):
    assert st.holm(p) == pytest.approx(corrected, nan_ok=True), why


WELCH = [  # scores of two sets of seeds, p, why
    ([0.99], [0.98, 0.97], math.nan, "one seed has no variance"),
    ([0.5, 0.5], [0.5, 0.5], 1.0, "neither varies, equal"),
    ([0.5, 0.5], [0.6, 0.6], 0.0, "neither varies, different"),
    ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 0.021312, "t = -3.674235, 4 degrees of freedom"),
    ([0.5, 0.5], [0.6, 0.8], 0.295167, "only one varies: t = -2, p = 1 - 2 atan(2) / pi"),
]


@pytest.mark.parametrize(("first", "second", "p", "why"), WELCH, ids=[case[3] for case in WELCH])
def test_welchs_test(first, second, p, why):
    assert st.welch(np.array(first), np.array(second)) == pytest.approx(p, abs=1e-6, nan_ok=True), why


def test_the_smallest_significant_difference():
    assert st.smallest_resolved(5, 1000) == math.inf, "5 to 0 has p = 0.0625"
    assert st.smallest_resolved(6, 1000) == pytest.approx(6 / 1000), "6 to 0 has p = 0.03125"
    for count in (20, 101, 500):
        least = round(st.smallest_resolved(count, 1000) * 1000)
        losses = (count - least) // 2
        assert st.mcnemar(count - losses, losses) <= 0.05 < st.mcnemar(count - losses - 1, losses + 1)


def test_the_detectable_difference_has_the_stated_power():
    found = st.detectable(0.01, 10_000)
    formula = (Z_QUANTILE * math.sqrt(0.01) + Z_POWER * math.sqrt(0.01 - found**2)) / 100
    assert found == pytest.approx(formula, rel=1e-5)
    # Simulation: discordant images of two models with this true difference, on 10,000 images
    draws = np.random.default_rng(0).multinomial(10_000, [(0.01 + found) / 2, (0.01 - found) / 2, 0.99], size=4000)
    power = (st.mcnemar(draws[:, 0], draws[:, 1]) < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.04)
    assert st.detectable(0.0001, 1000) == math.inf, "more than all discordant images"


def test_softmax_equals_torchs_and_is_computed_in_float64():
    logits = np.array([[1000.0, 0.0, -1000.0], [0.1, 0.2, 0.3]], dtype=np.float32)
    found = st.softmax(logits)
    assert found.dtype == np.float64
    assert found == pytest.approx(torch.tensor(logits, dtype=torch.float64).softmax(dim=1).numpy(), abs=1e-15)


def test_calibration_equals_torchmetrics():
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(500, 10)), rng.integers(0, 10, 500)
    probabilities = st.softmax(logits)
    expected = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), num_classes=10, n_bins=15, norm="l1"
    )
    found = st.calibration(probabilities, labels)
    assert found.ece == pytest.approx(float(expected), abs=1e-6)
    assert found.counts.sum() == 500


def test_the_calibration_error_of_four_images():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = st.calibration(probabilities, np.array([0, 1, 0, 0]), bins=5)
    # Confidence 0.9: 1 of 2 correct. Confidence 0.6: 2 of 2 correct. (2 * 0.4 + 2 * 0.4) / 4
    assert found.ece == pytest.approx(0.4)
    assert (found.confidence.tolist(), found.accuracy.tolist()) == ([0.6, 0.9], [1.0, 0.5])


def test_many_pairs_are_tested_as_each_pair_alone():
    rng = np.random.default_rng(0)
    scores = [rng.random(3), rng.random(2), np.full(3, 0.1), np.full(2, 0.1), np.full(4, 0.3), np.array([0.5])]
    first, second = np.triu_indices(len(scores), 1)
    alone = [st.welch(scores[i], scores[j]) for i, j in zip(first, second, strict=True)]
    assert st.welch_pairs(scores, first, second) == pytest.approx(np.array(alone), nan_ok=True)
    counts = np.arange(40).reshape(4, 10)
    assert (st.smallest_resolved(counts, 100) == [[st.smallest_resolved(n, 100) for n in row] for row in counts]).all()


@pytest.mark.parametrize("classes", [0, 12])
def test_macro_f1_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 8, 200), rng.integers(0, 9, 200).astype(np.uint8)
    known = range(classes) if classes else None
    expected = f1_score(labels, predicted, labels=known, average="macro", zero_division=0.0)
    assert st.macro_f1(labels, predicted, classes) == pytest.approx(expected)
