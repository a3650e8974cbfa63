"""Scores of predicted probabilities against values worked out by hand, and against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from mnist_zoo.confidence import (
    COLDEST,
    HOTTEST,
    brier,
    calibration,
    certainty,
    coverage_curve,
    fit_temperature,
    nll,
    perfect_ece,
    softmax,
)


def test_softmax_equals_torchs_and_is_computed_in_float64():
    logits = np.array([[1000.0, 0.0, -1000.0], [0.1, 0.2, 0.3]], dtype=np.float32)
    found = softmax(logits)
    assert found.dtype == np.float64
    assert found == pytest.approx(torch.tensor(logits, dtype=torch.float64).softmax(dim=1).numpy(), abs=1e-15)


def test_calibration_equals_torchmetrics():
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(500, 10)), rng.integers(0, 10, 500)
    probabilities = softmax(logits)
    expected = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), num_classes=10, n_bins=15, norm="l1"
    )
    found = calibration(probabilities, labels)
    assert found.ece == pytest.approx(float(expected), abs=1e-6)
    assert found.counts.sum() == 500


def test_the_calibration_error_of_four_images():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = calibration(probabilities, np.array([0, 1, 0, 0]), bins=5)
    # Confidence 0.9: 1 of 2 correct. Confidence 0.6: 2 of 2 correct. (2 * 0.4 + 2 * 0.4) / 4
    assert found.ece == pytest.approx(0.4)
    assert (found.confidence.tolist(), found.accuracy.tolist()) == ([0.6, 0.9], [1.0, 0.5])


def test_the_brier_score():
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    assert brier(probabilities, np.array([0, 2, 0])) == pytest.approx((0 + 2 + 0.5) / 3)


def test_a_perfectly_calibrated_network_has_a_calibration_error_too():
    rng = np.random.default_rng(1)
    probabilities = softmax(2 * rng.normal(size=(2000, 10)))
    labels = np.array([rng.choice(10, p=row) for row in probabilities])  # drawn from its own probabilities
    expected = perfect_ece(probabilities)
    assert 0.01 < expected < 0.05
    assert calibration(probabilities, labels).ece == pytest.approx(expected, abs=0.01)
    assert perfect_ece(np.tile(probabilities, (16, 1))) == pytest.approx(expected / 4, rel=0.2), "falls with 1/sqrt(N)"


def test_a_brier_score_is_not_negative():
    probabilities = softmax(np.random.default_rng(0).normal(38, 1, (1000, 1)) * [[1.0, 0.0, 0.0]])
    assert 0 <= brier(probabilities, np.zeros(1000, dtype=int)) < 1e-15


def test_the_negative_log_likelihood_is_scikit_learns():
    rng = np.random.default_rng(0)
    probabilities, labels = softmax(rng.normal(size=(50, 4))), rng.integers(0, 4, 50)
    assert nll(probabilities, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(4)))
    assert nll(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(-np.log(1e-12))


class TestTemperature:
    @pytest.mark.parametrize("wrong", [0.1, 0.3, 0.4])
    def test_it_makes_the_confidence_the_accuracy_if_all_images_are_equally_certain(self, wrong):
        """Two logits z and 0, right in a share a of the images: the best T has softmax(z / T) = a."""
        labels = (np.arange(1000) < 1000 * wrong).astype(int)
        logits = np.tile([6.0, 0.0], (1000, 1))
        assert fit_temperature(logits, labels) == pytest.approx(6 / special.logit(1 - wrong), rel=1e-6)

    @pytest.mark.parametrize("hotter", [0.5, 1.0, 3.0])
    def test_it_is_found_again(self, hotter):
        """Labels drawn from the probabilities of z: the logits `hotter * z` have the temperature `hotter`."""
        rng = np.random.default_rng(0)
        logits = 2 * rng.normal(size=(20_000, 10))
        labels = (softmax(logits).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
        assert fit_temperature(hotter * logits, labels) == pytest.approx(hotter, rel=0.03)

    def test_no_other_temperature_has_a_lower_loss(self):
        rng = np.random.default_rng(1)
        logits, labels = 5 * rng.normal(size=(300, 5)), rng.integers(0, 5, 300)
        logits[np.arange(250), labels[:250]] += 8
        best = fit_temperature(logits, labels)
        losses = [nll(softmax(logits / (best * factor)), labels) for factor in (0.99, 1, 1.01)]
        assert losses[1] < min(losses[0], losses[2])

    @pytest.mark.parametrize(
        ("logits", "labels", "expected", "why"),
        [
            ([[9.0, 0.0], [0.0, 9.0]], [0, 1], COLDEST, "without errors the best temperature is 0"),
            ([[9.0, 0.0], [0.0, 9.0]], [1, 0], HOTTEST, "with nothing but errors it is infinite"),
            ([[1.0, -np.inf], [1.0, 3.0]], [0, 1], COLDEST, "a class may be impossible"),
        ],
    )
    def test_it_has_limits(self, logits, labels, expected, why):
        assert fit_temperature(np.array(logits), np.array(labels)) == expected, why


def test_the_certainty_is_the_log_odds_and_does_not_saturate():
    logits = np.random.default_rng(0).normal(size=(100, 10)).astype(np.float32)
    assert certainty(logits) == pytest.approx(special.logit(softmax(logits).max(axis=1)))
    sure, surer = certainty(np.array([[60.0, 0, 0], [70.0, 0, 0]]))
    assert surer - sure == pytest.approx(10)
    assert np.isfinite(certainty(np.array([[1.0, -np.inf]]))).all()


@pytest.mark.parametrize(
    ("certainties", "correct", "expected"),
    [
        ([4, 3, 2, 1], [1, 1, 0, 1], [1, 1, 2 / 3, 3 / 4]),
        ([1, 2, 3, 4], [1, 1, 0, 1], [1, 1 / 2, 2 / 3, 3 / 4]),
        ([1, 1, 1, 1], [1, 0, 0, 1], [1 / 2] * 4),
        ([2, 2, 1, 1], [1, 0, 0, 0], [1 / 2, 1 / 2, 1 / 3, 1 / 4]),
    ],
)
def test_the_accuracy_against_coverage(certainties, correct, expected):
    curve = coverage_curve(np.array(certainties, dtype=float), np.array(correct, dtype=bool))
    assert curve == pytest.approx(expected)
