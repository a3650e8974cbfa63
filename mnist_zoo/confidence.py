"""How far the probabilities of a network can be trusted: scores of predicted probabilities, and a temperature.

Everything here is computed in float64 from logits or probabilities on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

BINS = 15
DRAWS = 20  # of the labels of a perfectly calibrated network
COLDEST, HOTTEST = 0.05, 20.0  # limits of the temperature
FAR = 1e4  # a logit that is lower than the highest one by this has the probability 0


@dataclass(frozen=True)
class Calibration:
    """Accuracy and confidence of one network in confidence bins of equal width.

    Attributes:
        confidence, accuracy: means in each non-empty bin, float ``(B,)``.
        counts: images in each non-empty bin, int ``(B,)``.
        ece: expected calibration error, a fraction (Naeini et al. 2015).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    ece: float


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits ``(N, C)``, computed in float64."""
    return special.softmax(np.asarray(logits, dtype=np.float64), axis=1)


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare the probability of the predicted class with the accuracy, in bins of equal width.

    Args:
        probabilities: ``(N, C)``.
        labels: true classes, ``(N,)``.
        bins: number of bins between 0 and 1; a bin includes its upper edge.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    used = counts > 0
    mean_confidence = np.bincount(which, confidence, bins)[used] / counts[used]
    accuracy = np.bincount(which, correct, bins)[used] / counts[used]
    ece = float(np.sum(counts[used] * np.abs(accuracy - mean_confidence)) / len(labels))
    return Calibration(mean_confidence, accuracy, counts[used], ece)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the Brier score: the mean squared distance to the true class, 0 to 2 (Brier 1950).

    Args:
        probabilities: ``(N, C)``.
        labels: true classes, ``(N,)``.
    """
    right = probabilities[np.arange(len(labels)), labels]
    distances = np.square(probabilities).sum(axis=1) - 2 * right + 1
    return float(np.maximum(distances, 0).mean())  # rounding may leave less than 0


def perfect_ece(probabilities: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error that a perfectly calibrated network with these probabilities would show.

    It is not 0, because its accuracy in a bin of finitely many images deviates from its confidence by chance. The value
    is the mean over `DRAWS` draws of which predictions are correct, with a fixed seed.

    Args:
        probabilities: ``(N, C)``.
        bins: as in `calibration`.
    """
    confidence = probabilities.max(axis=1)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    correct = np.random.default_rng(0).random((DRAWS, len(confidence))) < confidence
    gaps = [np.abs(np.bincount(which, right - confidence, bins)).sum() for right in correct]
    return float(np.mean(gaps) / len(confidence))


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the negative log-likelihood in nats: the mean of ``-log`` of the true class's probability.

    A probability below 1e-12 counts as 1e-12, so that one impossible image does not make it infinite.

    Args:
        probabilities: ``(N, C)``.
        labels: true classes, ``(N,)``.
    """
    # Not sklearn's log_loss, which clips at another probability.
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T for which ``softmax(logits / T)`` has the lowest negative log-likelihood.

    Guo et al. 2017, section 4.2. Dividing by T does not change the predicted classes. The loss is convex in 1 / T, so
    its derivative has one root, which is bracketed. Without errors the best T is 0: the result lies in 0.05 to 20.

    Args:
        logits: ``(N, C)``, of images that are not those of the test.
        labels: true classes, ``(N,)``.
    """
    logits = np.asarray(logits, dtype=np.float64)
    logits = np.maximum(logits - logits.max(axis=1, keepdims=True), -FAR)
    right = logits[np.arange(len(labels)), labels].mean()

    def slope(log_inverse: float) -> float:
        expected = (special.softmax(np.exp(log_inverse) * logits, axis=1) * logits).sum(axis=1)
        return float(expected.mean() - right)

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(np.exp(-optimize.brentq(slope, low, high, xtol=1e-10)))


def certainty(logits: np.ndarray) -> np.ndarray:
    """Return the log-odds of the predicted class, float64 ``(N,)``: ``log(p / (1 - p))`` for its probability p.

    They order images as p does, but differ where p is so close to 1 that float64 rounds it to 1.
    """
    logits = np.asarray(logits, dtype=np.float64)
    ordered = np.sort(np.maximum(logits - logits.max(axis=1, keepdims=True), -FAR), axis=1)
    return -special.logsumexp(ordered[:, :-1], axis=1)


def coverage_curve(certainties: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return the accuracy on the k most certain images for k from 1 to N, float64 ``(N,)``.

    Images of equal certainty count as correct to the same degree, so that their order does not matter.

    Args:
        certainties: ``(N,)``; higher is more certain.
        correct: bool ``(N,)``.
    """
    order = np.argsort(-certainties, kind="stable")
    _, group, sizes = np.unique(-certainties[order], return_inverse=True, return_counts=True)
    share = (np.bincount(group, correct[order]) / sizes)[group]
    return np.cumsum(share) / np.arange(1, len(order) + 1)
