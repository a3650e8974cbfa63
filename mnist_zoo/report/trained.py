"""The trained network of a run, for sections of the report that run it. Weights are read as data: no code runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_zoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


def network_and_inputs(folder: Path, images: np.ndarray) -> tuple[nn.Module, Tensor, float, float]:
    """Return a run's network, images as its input, and the mean and standard deviation that they were scaled with.

    Args:
        folder: of the run.
        images: uint8 ``(N, C, H, W)``, with the run's filters.

    Raises:
        InputError: without a checkpoint that fits the images, or if the network cannot be built.
    """
    import torch  # here, with what imports it: a report without images does not need it

    from mnist_zoo.models.pretrained import build_trained
    from mnist_zoo.weights import read_weights

    weights = read_weights(folder)
    known = weights.description
    if known.mean is None or known.std is None or known.image_shape != images.shape[1:]:
        raise InputError(f"{weights.path} is of a network for other images")
    inputs = (torch.from_numpy(images).float() / 255 - known.mean) / known.std
    return build_trained(weights), inputs, known.mean, known.std
