"""Blurs: the Gaussian one, which other corruptions use, glass blur and motion blur."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.robustness.corruptions.draws import Draws

REACH = 4  # standard deviations at which a Gaussian is cut off
GLASS_SIGMA, GLASS_ROUNDS = 0.7, 2  # pixels of 28; how often all pixels change places
MOTION_SIGMA, MOTION_ANGLE = 3.0, math.pi / 4  # pixels of 28; radians


def unit(images: Tensor) -> float:
    """Return how many pixels of these images correspond to one pixel of a 28x28 image."""
    return min(images.shape[-2:]) / 28


@lru_cache(maxsize=64)
def _smoothing(side: int, sigma: float, edge: str) -> Tensor:
    """Return the matrix ``(side, side)`` that blurs a column of pixels."""
    reach = int(REACH * sigma + 0.5)
    weights = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float64).square() / (2 * sigma**2))
    weights /= weights.sum()
    matrix = torch.zeros(side, side, dtype=torch.float64)
    centres = torch.arange(side)
    for offset, weight in zip(range(-reach, reach + 1), weights.tolist(), strict=True):
        source = centres + offset
        inside = (source >= 0) & (source < side)
        if edge == "nearest":
            matrix.index_put_((centres, source.clamp(0, side - 1)), torch.tensor(weight).double(), accumulate=True)
        else:
            matrix[centres[inside], source[inside]] += weight
    return (matrix / matrix.sum(dim=1, keepdim=True)).float()


def gaussian_blur(images: Tensor, sigma: float, edge: str = "nearest") -> Tensor:
    """Blur images ``(B, C, H, W)``.

    Args:
        images: float32.
        sigma: standard deviation in pixels; the kernel is cut at 4 of them.
        edge: what lies outside the image: ``nearest`` for the nearest pixel, ``nothing`` for a mean of what is inside.
    """
    height, width = images.shape[-2:]
    rows, columns = (_smoothing(side, sigma, edge).to(images.device) for side in (height, width))
    return rows @ images @ columns.T


def glass_blur(images: Tensor, draws: Draws) -> Tensor:
    """Blur (0.7 pixels), let neighbours change places, and blur again.

    Twice, every pixel from the lower right corner to the upper left one changes places, with probability 1/2, with
    itself, the pixel above it, to its left, or above to its left. The paper's code does so one pixel after the other.
    Here all pixels do so at once that do not touch each other, in an order that has the same result: ``(row, column)``
    comes at the step ``-2 * row - column``. (The paper rounds the blurred image to 256 levels first.)
    """
    height, width = images.shape[-2:]
    sigma = GLASS_SIGMA * unit(images)
    blurred = gaussian_blur(images, sigma)
    moves = torch.tensor([0, 0, 0, 0, 0, -1, -width, -width - 1], device=images.device)
    offsets = moves[(draws.uniform(GLASS_ROUNDS, height * width) * len(moves)).long()]
    place = torch.arange(height * width, device=images.device).repeat(len(images), 1)  # where each pixel comes from
    for number in range(GLASS_ROUNDS):
        for here in _steps(height, width):
            here = here.to(images.device)
            there = here + offsets[:, number].index_select(1, here)
            own = place.index_select(1, here)
            other = place.gather(1, there)
            place.scatter_(1, there, own)
            place.index_copy_(1, here, other)
    channels = images.shape[1]
    moved = blurred.flatten(2).gather(2, place.unsqueeze(1).expand(-1, channels, -1)).view_as(images)
    return gaussian_blur(moved, sigma).clamp(0, 1)


@lru_cache(maxsize=8)
def _steps(height: int, width: int) -> list[Tensor]:
    """Return the flat indices of the pixels of each step of `glass_blur`. As in the paper, the first two rows and
    columns stay.
    """
    rows, columns = torch.meshgrid(torch.arange(2, height), torch.arange(2, width), indexing="ij")
    step, index = (-2 * rows - columns).flatten(), (rows * width + columns).flatten()
    return [index[step == number] for number in step.unique().tolist()]


def motion_blur(images: Tensor, draws: Draws) -> Tensor:
    """Blur along a line to one side, with half of a Gaussian (3 pixels), at an angle of -45 to 45 degrees.

    Offsets are rounded to whole pixels, and pixels outside the image are the nearest ones inside, as in ImageMagick,
    which the paper's code calls with a radius of 10. It cuts the Gaussian at 20 pixels, we at 4 standard deviations.
    """
    size = unit(images)
    sigma = MOTION_SIGMA * size
    angle = (2 * draws.uniform() - 1) * MOTION_ANGLE
    reach = int(REACH * sigma + 0.5)
    weights = torch.exp(-torch.arange(reach + 1).square() / (2 * sigma**2))
    weights /= weights.sum()
    channels, height, width = images.shape[1:]
    padded = F.pad(images, (0, reach, reach, reach), mode="replicate")
    wide = padded.shape[-1]
    rows = torch.arange(reach, reach + height, device=images.device)
    start = (rows.unsqueeze(1) * wide + torch.arange(width, device=images.device)).flatten()
    flat, blurred = padded.flatten(2), torch.zeros_like(images).flatten(2)
    for distance, weight in enumerate(weights.tolist()):
        right, down = (distance * angle.cos()).round().long(), (distance * angle.sin()).round().long()
        source = start + (down * wide + right).unsqueeze(1)
        blurred += weight * flat.gather(2, source.unsqueeze(1).expand(-1, channels, -1))
    return blurred.view_as(images).clamp(0, 1)
