"""What photographs do to digits, for whole batches: bent lines, other pens, blur, paper that is not blank, noise.

Each function takes float images ``(N, C, H, W)``, black 0 and white 255, and one random number in [0, 1) for each image
and parameter. Fields of random numbers (a displacement or a noise value for each pixel) are computed from one such
number by a hash: they are the same on every device, and an epoch's worth of them need not be stored.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WHITE = 255.0
SMOOTHNESS = 4 / 28  # share of the side: the standard deviation of Simard's Gaussian, 4 pixels of 28
NODES = 14  # random displacements a side; two for each standard deviation of that Gaussian suffice
THINNEST = 0.75  # share of an eroded image in the thinnest stroke; the rest keeps thin lines from vanishing
LINES = 0.5  # share of images with ruled paper
SPACING = (0.2, 0.6)  # distance of ruled lines, share of the side
LINE_WIDTH = 0.05  # share of the side
_SEEDS = 2**24  # different fields: the steps of a float32 in [0, 1)


def displacement(seed: Tensor, size: tuple[int, int], strength: float) -> Tensor:
    """Return the elastic displacement of each pixel (Simard et al. 2003, "Best practices for convolutional networks").

    Random displacements are smoothed by a Gaussian with a standard deviation of a seventh of the side, as in the paper.
    Its strength of 34 corresponds to 0.05 here.

    Args:
        seed: uniform in [0, 1), ``(N,)``.
        size: ``(H, W)``.
        strength: standard deviation of the displacement on each axis, share of the side.

    Returns:
        float ``(N, H, W, 2)``, x and y in the units of `grid_sample`: a side is 2.
    """
    noise = uniform_field(seed, 2 * NODES**2).view(-1, 2, NODES, NODES) - 0.5
    rows, columns = (_smoothing(side, seed.device) for side in size)
    smooth = rows @ noise @ columns.T * (math.sqrt(12) * strength * 2)
    return smooth.permute(0, 2, 3, 1)


def change_stroke(images: Tensor, amount: Tensor, most: float) -> Tensor:
    """Make light strokes wider or thinner, by up to `most` pixels on each side: grey dilation and erosion.

    A pixel is replaced by the lightest (wider) or darkest (thinner) of its 3x3 neighbours, once for each whole pixel,
    and in part for the rest. Thinner strokes keep the brightness of their lightest pixel.

    Args:
        images: see above.
        amount: uniform in [0, 1), ``(N,)``; 0.5 changes nothing.
        most: pixels.
    """
    pixels = ((2 * amount - 1) * most).view(-1, 1, 1, 1)
    wider = thinner = images
    for step in range(math.ceil(most)):
        share = (pixels.abs() - step).clamp(0, 1)
        wider = torch.lerp(wider, F.max_pool2d(wider, 3, 1, 1), share)
        thinner = torch.lerp(thinner, -F.max_pool2d(-thinner, 3, 1, 1), share * THINNEST)
    lightest = thinner.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    thinner = thinner * (images.amax((1, 2, 3), keepdim=True) / lightest)
    return torch.where(pixels > 0, wider, thinner)


def blur(images: Tensor, amount: Tensor, most: float) -> Tensor:
    """Blur each image by a Gaussian with a standard deviation of ``amount * most`` pixels; `amount` is ``(N,)``."""
    deviation = (amount * most).clamp(min=0.05).view(-1, 1, 1)  # below that the Gaussian is one pixel
    rows, columns = (_gaussian(side, deviation).unsqueeze(1) for side in images.shape[-2:])
    return rows @ images @ columns.transpose(-1, -2)


def add_background(images: Tensor, draws: Tensor, most: float) -> Tensor:
    """Lighten the black paper: unevenly from one side to the other, and in half of the images by parallel lines.

    Args:
        images: see above.
        draws: uniform in [0, 1), ``(N, 5)``: strength and direction of the light, whether there are lines, their
            strength, and their distance.
        most: share of white that light and lines may add.
    """
    strength, direction, lined, ink, distance = (column.view(-1, 1, 1) for column in draws.unbind(1))
    height, width = images.shape[-2:]
    y = ((torch.arange(height, device=images.device) + 0.5) / height).view(1, -1, 1)
    x = ((torch.arange(width, device=images.device) + 0.5) / width).view(1, 1, -1)
    angle = 2 * math.pi * direction
    light = ((x - 0.5) * angle.cos() + (y - 0.5) * angle.sin() + 0.5).clamp(0, 1) * strength
    gap = SPACING[0] + (SPACING[1] - SPACING[0]) * distance
    across = torch.where(direction < 0.5, y + 0 * x, x + 0 * y)  # horizontal lines, or vertical ones
    lines = ((across + direction).remainder(gap) < LINE_WIDTH) & (lined < LINES)
    paper = torch.maximum(light, lines * ink).unsqueeze(1) * most
    return images + (WHITE - images) * paper


def add_noise(images: Tensor, seed: Tensor, amount: Tensor, most: float) -> Tensor:
    """Add Gaussian noise to each pixel, with a standard deviation of ``amount * most`` of white; clip to 0-255.

    `seed` and `amount` are uniform in [0, 1), ``(N,)``.
    """
    uniform = uniform_field(seed, images[0].numel()).view(images.shape)
    noise = torch.special.ndtri(uniform + 0.5 / _SEEDS)
    return (images + noise * (amount * most * WHITE).view(-1, 1, 1, 1)).clamp(0, WHITE)


def uniform_field(seed: Tensor, count: int) -> Tensor:
    """Return `count` numbers in [0, 1) for each number in [0, 1) of `seed`, float32 ``(N, count)``.

    They are the hash of the seed and a counter (Wellons' 32-bit mixing function "lowbias32"), in exact integers.
    """
    counter = torch.arange(count, device=seed.device, dtype=torch.int64)
    start = (seed.double() * _SEEDS).long().unsqueeze(1)
    value = _mixed((_mixed(start) + counter) & 0xFFFFFFFF)
    return (value >> 8).float() / _SEEDS


def _mixed(value: Tensor) -> Tensor:
    """Return 32 bits that differ in about half of their places for neighbouring 32-bit integers."""
    value = value ^ (value >> 16)
    value = (value * 0x7FEB352D) & 0xFFFFFFFF
    value = value ^ (value >> 15)
    value = (value * 0x846CA68B) & 0xFFFFFFFF
    return value ^ (value >> 16)


def _smoothing(side: int, device: torch.device) -> Tensor:
    """Return a matrix ``(side, NODES)`` that smooths white noise to a field with the same variance everywhere."""
    pixel, node = ((torch.arange(count, device=device) + 0.5) / count for count in (side, NODES))
    kernel = torch.exp(-0.5 * ((pixel[:, None] - node) / SMOOTHNESS) ** 2)
    return kernel / kernel.norm(dim=1, keepdim=True)


def _gaussian(side: int, deviation: Tensor) -> Tensor:
    """Return matrices ``(N, side, side)`` of Gaussians with standard deviations ``(N, 1, 1)``; each row sums to 1."""
    pixel = torch.arange(side, device=deviation.device)
    kernel = torch.exp(-0.5 * ((pixel - pixel[:, None]) / deviation) ** 2)
    return kernel / kernel.sum(2, keepdim=True)
