"""Plots of a finished run for TensorBoard's Images tab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn import metrics

from mnist_zoo.plots.images import confusion_matrix, sample_predictions
from mnist_zoo.plots.style import style

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SAMPLES = 20  # images in each grid


def log_figures(
    writer: SummaryWriter, images: np.ndarray, labels: np.ndarray, logits: np.ndarray, class_names: Sequence[str]
) -> None:
    """Add the confusion matrix, the predictions of the first test images and the first errors.

    Args:
        writer: receives the plots.
        images: test images, ``(N, C, H, W)``.
        labels: true classes, ``(N,)``.
        logits: of the network, ``(N, num_classes)``.
        class_names: ``num_classes`` names.
    """
    predicted = logits.argmax(axis=1)
    counts = metrics.confusion_matrix(labels, predicted, labels=range(len(class_names)))
    first, wrong = np.arange(min(SAMPLES, len(labels))), np.flatnonzero(predicted != labels)[:SAMPLES]
    with style():
        writer.add_figure("test/confusion_matrix", confusion_matrix(counts, class_names))
        for name, chosen in (("predictions", first), ("errors", wrong)):
            if len(chosen):
                figure = sample_predictions(images[chosen], labels[chosen], predicted[chosen], class_names)
                writer.add_figure(f"test/{name}", figure)
