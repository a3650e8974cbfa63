"""Corruptions of single pixels: shot noise, impulse noise, brightness, stripe."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist_zoo.robustness.corruptions.draws import Draws

PHOTONS = 3  # mean number at a white pixel
FLIPPED = 0.17  # share of the pixels that become black or white
BRIGHTER = 0.5
STRIPE = 4  # the outer quarters of the columns


def shot_noise(images: Tensor, draws: Draws) -> Tensor:
    """Count photons: each pixel becomes a Poisson number with mean ``3 * pixel``, divided by 3 and cut at 1."""
    rate = PHOTONS * images
    uniform = draws.uniform(*images.shape[1:])
    # 3 or more photons are white, so the distribution function is needed at 0, 1 and 2 only.
    probability = torch.exp(-rate)
    below, counted = probability.clone(), torch.zeros_like(images)
    for photons in range(1, PHOTONS + 1):
        counted += uniform >= below
        probability *= rate / photons
        below += probability
    return counted / PHOTONS


def impulse_noise(images: Tensor, draws: Draws) -> Tensor:
    """Make 17 % of the pixels black or white, with equal probability."""
    uniform = draws.uniform(*images.shape[1:])
    return images.masked_fill(uniform < FLIPPED / 2, 0.0).masked_fill(uniform >= 1 - FLIPPED / 2, 1.0)


def brightness(images: Tensor, draws: Draws) -> Tensor:
    """Add 0.5 to each pixel, cut at 1. (The paper adds it to the value in HSV, which is the same for grey images.)"""
    return (images + BRIGHTER).clamp(max=1.0)


def stripe(images: Tensor, draws: Draws) -> Tensor:
    """Invert the left and the right quarter of the columns, which leaves a black stripe in the middle."""
    width = images.shape[-1]
    edge = width // STRIPE
    inverted = images.clone()
    for side in (slice(0, edge), slice(width - edge, width)):
        inverted[..., side] = 1 - images[..., side]
    return inverted
