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


def test_the_interval_of_a_mean_is_students():
    mean, half = st.mean_interval([1.0, 2.0, 3.0])  # standard deviation 1
    assert mean == 2.0
    assert half == pytest.approx(T_QUANTILE / math.sqrt(3), rel=1e-6)


def test_one_seed_has_no_interval():
    mean, half = st.mean_interval([0.5])
    assert mean == 0.5 and math.isnan(half)


WORDS = [  # mean, half, least, greatest; text; why
    ((98.0, 1.234, 97.0, 99.0), "98.00 ± 1.23", "an interval"),
    ((98.0, math.nan, 98.0, 98.0), "98.00", "one seed"),
    ((99.8, 0.4, 99.5, 100.0), "99.80 [98.54, 99.97]", "an interval that would exceed 100"),
    ((100.0, 0.0, 100.0, 100.0), "100.00 ± 0.00", "no seed errs"),
    ((66.0, 120.0, 10.0, 99.0), "10.00 to 99.00", "too wide: some seeds failed"),
]


@pytest.mark.parametrize(("numbers", "text", "why"), WORDS, ids=[case[2] for case in WORDS])
def test_an_accuracy_in_a_table(numbers, text, why):
    assert st.accuracy_words(*numbers) == text, why


def test_the_sampling_error():
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


def test_the_brier_score():
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    assert st.brier(probabilities, np.array([0, 2, 0])) == pytest.approx((0 + 2 + 0.5) / 3)


def test_a_perfectly_calibrated_network_has_a_calibration_error_too():
    rng = np.random.default_rng(1)
    probabilities = st.softmax(2 * rng.normal(size=(2000, 10)))
    labels = np.array([rng.choice(10, p=row) for row in probabilities])  # drawn from its own probabilities
    expected = st.perfect_ece(probabilities)
    assert 0.01 < expected < 0.05
    assert st.calibration(probabilities, labels).ece == pytest.approx(expected, abs=0.01)
    assert st.perfect_ece(np.tile(probabilities, (16, 1))) == pytest.approx(expected / 4, rel=0.2), (
        "falls with 1/sqrt(N)"
    )


@pytest.mark.parametrize("classes", [0, 12])
def test_macro_f1_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 8, 200), rng.integers(0, 9, 200).astype(np.uint8)
    known = range(classes) if classes else None
    expected = f1_score(labels, predicted, labels=known, average="macro", zero_division=0.0)
    assert st.macro_f1(labels, predicted, classes) == pytest.approx(expected)
