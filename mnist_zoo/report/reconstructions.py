"""Images beside what a network with a decoder draws of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_zoo.errors import InputError
from mnist_zoo.plots.images import image_grid
from mnist_zoo.report.sections import Block, figure_block
from mnist_zoo.report.trained import network_and_inputs

DRAWING = ("capsnet",)  # networks that have a method `reconstruct`
SHOWN = 10  # classes


def reconstruction_blocks(
    folder: Path, name: str, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]
) -> list[Block]:
    """Return the plot of a network's reconstructions of test images, or why there is none.

    Shown are, of each of the first ten classes, the first image that it classifies correctly and the first that it does
    not; each is drawn from the capsule of the predicted class.

    Args:
        folder: of the run.
        name: of the run.
        images: test images, uint8 ``(N, C, H, W)``, with the run's filters.
        labels: true classes ``(N,)``.
        predicted: predicted classes ``(N,)``.
        class_names: name of each class.
    """
    correct = labels == predicted
    first = [np.flatnonzero(kind & (labels == c))[:1] for kind in (correct, ~correct) for c in range(SHOWN)]
    chosen = np.concatenate(first)
    try:
        drawn = _reconstructions(folder, images[chosen], predicted[chosen])
    except InputError as error:
        return [Block("text", f"No reconstructions by {name}: {error}.")]
    captions = [
        class_names[p] if y == p else f"{class_names[y]} as {class_names[p]}"
        for y, p in zip(labels[chosen], predicted[chosen], strict=True)
    ]
    caption = (
        f"Test images, and below each what {name} draws from the capsule of the class that it predicts: of each "
        f"class the first that is predicted correctly, and the first that is not."
    )
    return figure_block(
        "reconstructions", image_grid(np.concatenate([images[chosen], drawn], axis=2), captions), caption
    )


def _reconstructions(folder: Path, images: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return reconstructions as uint8 ``(N, C, H, W)``."""
    import torch  # here: a report without images does not need it

    network: Any
    network, inputs, mean, std = network_and_inputs(folder, images)
    with torch.no_grad():
        drawn = network.reconstruct(network.features(inputs), torch.from_numpy(predicted).long())
    return ((drawn * std + mean) * 255).clamp(0, 255).round().byte().numpy()
