"""mnist_zoo.report.statistics against values worked out by hand, and against independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mlxtend.evaluate import cochrans_q as mlxtend_cochrans_q
from sklearn.metrics import f1_score

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


@pytest.mark.parametrize("classes", [0, 12])
def test_macro_f1_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 8, 200), rng.integers(0, 9, 200).astype(np.uint8)
    known = range(classes) if classes else None
    expected = f1_score(labels, predicted, labels=known, average="macro", zero_division=0.0)
    assert st.macro_f1(labels, predicted, classes) == pytest.approx(expected)
