"""Attribution maps of a network's worst errors. Weights are read as data: no code of a run folder runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_zoo.errors import InputError
from mnist_zoo.plots.attribution import attribution_panel
from mnist_zoo.report.sections import Block, figure_block

EXPLAINED = 6  # images


def attribution_blocks(folder: Path, images: np.ndarray, predicted: np.ndarray, captions: Sequence[str]) -> list[Block]:
    """Return the maps of the first 6 images for the class that the network of a run predicts, or why there are none.

    Args:
        folder: of the run.
        images: uint8 ``(N, C, H, W)``, with the run's filters.
        predicted: predicted classes ``(N,)``.
        captions: N texts.
    """
    try:
        maps = _maps(folder, images[:EXPLAINED], predicted[:EXPLAINED])
    except InputError as error:
        return [Block("text", f"No attribution maps of these errors: {error}.")]
    caption = (
        "What the predicted class of these errors depends on. Saliency: the absolute gradient. Integrated gradients "
        "and occlusion: red is for the class, blue against it."
    )
    figure = attribution_panel(images[:EXPLAINED], maps, captions[:EXPLAINED])
    return figure_block("attribution", figure, caption)


def _maps(folder: Path, images: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps of `mnist_zoo.attribution.attribute`.

    Raises InputError without captum, without a checkpoint that fits the images, or if the network cannot be built.
    """
    import torch  # here, with what imports it: a report without images does not need it

    from mnist_zoo.attribution import attribute, require_captum
    from mnist_zoo.models.pretrained import build_trained
    from mnist_zoo.weights import read_weights

    require_captum()
    weights = read_weights(folder)
    known = weights.description
    if known.mean is None or known.std is None or known.image_shape != images.shape[1:]:
        raise InputError(f"{weights.path} is of a network for other images")
    inputs = (torch.from_numpy(images).float() / 255 - known.mean) / known.std
    classes = torch.from_numpy(predicted).long()
    return attribute(build_trained(weights), inputs, classes, -known.mean / known.std)
