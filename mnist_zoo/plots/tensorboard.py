"""What a finished run adds to TensorBoard: plots for the Images tab, and the network for the Graphs tab."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn import metrics
from torch import nn

from mnist_zoo.plots.images import confusion_matrix, sample_predictions
from mnist_zoo.plots.style import style

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SAMPLES = 20  # images in each grid


def log_graph(writer: SummaryWriter, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Add the graph of a network in evaluation mode; warn if it cannot be traced. Its weights and mode do not change.

    Args:
        writer: receives the graph.
        model: on the CPU, for images ``(1, C, H, W)``.
        image_shape: ``(C, H, W)``.
    """
    training = model.training
    model.eval()
    said = io.StringIO()  # torch prints a line about an error before it raises it
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            # Tracing is deprecated, but TensorBoard's writer has no other way; checks of shapes become constants.
            warnings.simplefilter("ignore")
            writer.add_graph(model, torch.zeros(1, *image_shape))
    except Exception as error:  # of any network that users register
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"TensorBoard does not show the network's graph, which cannot be traced: {reason}", stacklevel=2)
    finally:
        model.train(training)


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
