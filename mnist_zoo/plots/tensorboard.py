"""Figures of a finished run for TensorBoard's Images tab."""

from __future__ import annotations

import numpy as np

from mnist_zoo.plots.images import confusion_matrix, sample_predictions
from mnist_zoo.plots.style import style
from mnist_zoo.report.tables import confusions

SAMPLES = 20  # of the first test images, and as many of those the network has wrong


def log_figures(writer, images: np.ndarray, labels: np.ndarray, logits: np.ndarray, class_names: list[str]) -> None:
    """Add the confusion matrix, predictions of the first test images, and errors.

    Args:
        writer: a ``SummaryWriter`` of torch's.
        images: of the test set, ``(N, C, H, W)``.
        labels: true classes ``(N,)``.
        logits: the network's ``(N, C)``.
        class_names: what to call each label.
    """
    predicted = logits.argmax(axis=1)
    first, wrong = np.arange(min(SAMPLES, len(labels))), np.flatnonzero(predicted != labels)[:SAMPLES]
    with style():
        writer.add_figure(
            "test/confusion_matrix", confusion_matrix(confusions(labels, predicted, len(class_names)), class_names)
        )
        for name, chosen in (("predictions", first), ("errors", wrong)):
            if len(chosen):
                figure = sample_predictions(images[chosen], labels[chosen], predicted[chosen], class_names)
                writer.add_figure(f"test/{name}", figure)
