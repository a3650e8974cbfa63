"""Computing a trained network's logits, and stopping if they are none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnist_zoo.errors import InputError
from mnist_zoo.weights import Weights
from mnist_zoo.weights.description import summary


def compute_logits(model: nn.Module, weights: Weights, images: Tensor) -> Tensor:
    """Return the logits ``(N, num_classes)`` of images that a network takes ``(N, C, H, W)``.

    Args:
        model: the network.
        weights: its weights, named in messages.
        images: its input.

    Raises:
        InputError: if the network does not take images of this shape, or its output has another shape or is NaN or
            infinite.
    """
    known = weights.description
    try:
        with torch.inference_mode():
            logits = model(images)
    except (RuntimeError, ValueError) as error:  # torch's, or that of a network's own check
        shape = "x".join(map(str, images.shape[1:]))
        raise InputError(
            f"{weights.path}: its network {known.name} does not take images of shape {shape} ({summary(error)})"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (len(images), known.num_classes):
        raise InputError(f"{weights.path}: the output of its network {known.name} is not {known.num_classes} logits")
    if not logits.isfinite().all():
        raise InputError(f"{weights.path}: the output of its network is NaN or infinite; use other weights")
    return logits
