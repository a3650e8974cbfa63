"""How far a network's probabilities can be trusted, before and after scaling with a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_zoo.confidence import (
    brier,
    calibration,
    certainty,
    coverage_curve,
    fit_temperature,
    nll,
    perfect_ece,
    softmax,
)
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images, logits_of
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test
from mnist_zoo.robustness.subject import Subject

COVERAGES = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)  # shares of the images for which the accuracy is kept
POINTS = 200  # of the curve of accuracy against coverage


@dataclass(frozen=True)
class CalibrationSettings(Settings):
    """What the test of calibration can be told; raises InputError for the validation split, which it fits on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split == "val":
            raise InputError("its temperature is fitted on the validation split: measure it on the test split")


def _summary(values: Mapping[str, Any]) -> str:
    plain, scaled = values["plain"], values["scaled"]
    return (
        f"ECE {100 * plain['ece']:.2f} %, with temperature {values['temperature']:.2f} {100 * scaled['ece']:.2f} %; "
        f"NLL {plain['nll']:.4f}, {scaled['nll']:.4f}; accuracy {values['accuracy'][0]:.4f}, "
        f"{values['accuracy'][COVERAGES.index(0.95)]:.4f} on the most certain 95 %"
    )


@register_test("calibration", _summary, CalibrationSettings)
def measure_calibration(subject: Subject, images: Images, settings: Settings, progress: Progress) -> Outcome:
    """Measure the probabilities of a network as they are, and with a temperature (Guo et al. 2017).

    The temperature is fitted on the validation split, which is not trained on; the other images decide nothing.

    Returns:
        Values ``temperature``, and for ``plain`` and ``scaled`` probabilities each ``nll`` (nats), ``brier`` (0 to 2),
        ``ece`` and ``perfect_ece`` (fractions; that of a perfectly calibrated network with these probabilities), and
        the bins of the reliability diagram: ``confidence``, ``accuracy`` and ``counts``. Then ``coverage`` and
        ``accuracy``: the accuracy on this share of the images, those of which the network is most certain, and
        ``area``, the mean accuracy over all coverages. Array ``curve``, float32: the accuracy at 200 equally spaced
        coverages. A temperature hardly changes which images are certain, so the curve is that of the plain ones.

    Raises:
        InputError: if there is no validation split.
    """
    fitted_on = images.split("val")
    pixels, labels = images.split("test", settings.images)
    share = len(pixels) / (len(pixels) + len(fitted_on[0]))
    logits = logits_of(subject, pixels, lambda done: progress(share * done))
    val_logits = logits_of(subject, fitted_on[0], lambda done: progress(share + (1 - share) * done))
    true = labels.numpy()
    temperature = fit_temperature(val_logits, fitted_on[1].numpy())
    curve = coverage_curve(certainty(logits), logits.argmax(axis=1) == true)
    values = {
        "temperature": temperature,
        "plain": _scores(softmax(logits), true),
        "scaled": _scores(softmax(logits / temperature), true),
        "coverage": list(COVERAGES),
        "accuracy": [float(curve[_last(share, len(curve))]) for share in COVERAGES],
        "area": float(curve.mean()),
    }
    points = [_last(share, len(curve)) for share in np.arange(1, POINTS + 1) / POINTS]
    return Outcome(values, {"curve": curve[points].astype(np.float32)})


def _last(share: float, count: int) -> int:
    """Return the index of the last of the most certain images that are this share of all."""
    return max(1, round(share * count)) - 1


def _scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    binned = calibration(probabilities, labels)
    return {
        "nll": nll(probabilities, labels),
        "brier": brier(probabilities, labels),
        "ece": binned.ece,
        "perfect_ece": perfect_ece(probabilities),
        "confidence": binned.confidence.tolist(),
        "accuracy": binned.accuracy.tolist(),
        "counts": binned.counts.tolist(),
    }
