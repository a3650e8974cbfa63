"""Which pixels a network's output depends on: saliency, integrated gradients and occlusion, by captum (an extra)."""

from __future__ import annotations

import importlib.util

import numpy as np
import torch
from torch import Tensor, nn

from mnist_zoo.errors import InputError, install_command

STEPS = 32  # of the integral
WINDOW, STRIDE = 5, 2  # pixels; the square that occlusion blackens
METHODS = ("saliency", "integrated gradients", "occlusion")


def has_captum() -> bool:
    """Return whether captum is installed."""
    return importlib.util.find_spec("captum") is not None


def require_captum() -> None:
    """Raise InputError if captum is not installed."""
    if not has_captum():
        raise InputError(f"attribution needs captum: {install_command('explain')}")


def attribute(model: nn.Module, images: Tensor, classes: Tensor, black: float) -> dict[str, np.ndarray]:
    """Return how much each pixel contributes to the logit of one class of each image.

    Args:
        model: maps the images to logits ``(N, num_classes)``; in evaluation mode.
        images: normalised, float32 ``(N, C, H, W)``, with sides of at least 5 pixels.
        classes: class of each image, int64 ``(N,)``.
        black: value of a black pixel in `images`: integrated gradients start from a black image, and occlusion paints
            a black square.

    Returns:
        float32 ``(N, H, W)`` for each of `METHODS`: the absolute gradient, the largest of the channels (Simonyan et al.
        2014); the gradient integrated from black (Sundararajan et al. 2017), and the fall of the logit when the
        pixel's surroundings are black (Zeiler and Fergus 2014), both summed over channels.

    Raises:
        InputError: if captum is not installed, the images are too small, or the network does not take them.
    """
    require_captum()
    from captum.attr import IntegratedGradients, Occlusion, Saliency

    channels, *sides = images.shape[1:]
    if min(sides) < WINDOW:
        raise InputError(f"attribution needs images of at least {WINDOW}x{WINDOW} pixels")
    try:
        maps = (
            Saliency(model).attribute(images.clone().requires_grad_(), target=classes).amax(1),
            IntegratedGradients(model)
            .attribute(images, torch.full_like(images, black), classes, n_steps=STEPS, internal_batch_size=len(images))
            .sum(1),
            Occlusion(model)
            .attribute(
                images, (channels, WINDOW, WINDOW), (channels, STRIDE, STRIDE), torch.full_like(images, black), classes
            )
            .sum(1),
        )
    except (
        RuntimeError,
        ValueError,
        LookupError,
        AssertionError,
    ) as error:  # torch's and captum's, of a network that is another
        raise InputError(f"the network cannot be explained ({str(error).splitlines()[0]})") from error
    return {name: values.detach().float().cpu().numpy() for name, values in zip(METHODS, maps, strict=True)}
