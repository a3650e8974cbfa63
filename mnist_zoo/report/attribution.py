"""Attribution maps of a network's worst errors. Weights are read as data: no code of a run folder runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_zoo.errors import InputError
from mnist_zoo.plots.attribution import attribution_panel
from mnist_zoo.report.sections import Block, figure_block
from mnist_zoo.report.trained import network_and_inputs

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

    require_captum()
    network, inputs, mean, std = network_and_inputs(folder, images)
    return attribute(network, inputs, torch.from_numpy(predicted).long(), -mean / std)
