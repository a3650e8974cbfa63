"""What a fitted estimator says of images, as logits: numbers that softmax turns into its probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnist_zoo.confidence import fit_temperature
from mnist_zoo.splits import SPLITS

# A class without a vote (of the nearest neighbours, or of a leaf) has the probability 0, and one such image would make
# the cross-entropy infinite. Each probability is at least this.
LEAST = 1e-6


def split_logits(
    estimator: Any, inputs: Mapping[str, np.ndarray], val_labels: np.ndarray, classes: int
) -> tuple[dict[str, np.ndarray], float | None]:
    """Return the logits of each split, and the temperature that made logits of scores.

    An estimator with probabilities gives their logarithms. A support vector machine gives a score for each class, which
    is no logit: the scores are divided by the temperature with the lowest cross-entropy on the validation images
    (Guo et al. 2017). Neither step changes which class is the highest.

    Args:
        estimator: fitted, with ``predict_proba`` or ``decision_function``.
        inputs: of each split, float32 ``(N, D)``.
        val_labels: of the validation split, ``(N,)``.
        classes: C, the number of classes. Those that the estimator has not seen get the lowest logit.

    Returns:
        float32 ``(N, C)`` by split. The temperature is None for probabilities.
    """
    if hasattr(estimator, "predict_proba"):
        logits = {
            split: _for_all_classes(
                np.log(np.maximum(estimator.predict_proba(inputs[split]), LEAST)), estimator, classes
            )
            for split in SPLITS
        }
        return logits, None
    scores = {split: _scores(estimator, inputs[split]) for split in SPLITS}
    found = {split: _for_all_classes(values, estimator, classes) for split, values in scores.items()}
    temperature = fit_temperature(found["val"], val_labels)
    return {split: (values / temperature).astype(np.float32) for split, values in found.items()}, temperature


def _scores(estimator: Any, inputs: np.ndarray) -> np.ndarray:
    """Return the decision values of each class; scikit-learn gives one value instead of two for two classes."""
    values = estimator.decision_function(inputs)
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values


def _for_all_classes(values: np.ndarray, estimator: Any, classes: int) -> np.ndarray:
    """Return float32 ``(N, classes)`` of values for the classes that were in the training images."""
    full = np.full((len(values), classes), min(values.min(), np.log(LEAST)), dtype=np.float32)
    full[:, estimator.classes_] = values
    return full
