"""Corruptions that move pixels: shear, scale, rotate, translate. What comes from outside the image is black."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.robustness.corruptions.draws import Draws

SHEAR = ROTATION = 0.4  # radians, to either side
SIZE = 0.7  # of the digit, in each direction
SHIFT = 3 / 28  # of the image's side, in each direction; rounded to whole pixels


def shear(images: Tensor, draws: Draws) -> Tensor:
    """Shear by 0.4 radians to the left or right.

    As in the paper's code, a row at height y is shifted by ``sin(0.4) * y``, and y is stretched by ``1 / cos(0.4)``.
    """
    sine = draws.sign() * math.sin(SHEAR)
    one, zero = torch.ones_like(sine), torch.zeros_like(sine)
    return _resample(images, one, -sine, zero, one * math.cos(SHEAR))


def scale(images: Tensor, draws: Draws) -> Tensor:
    """Shrink to 70 % of width and height."""
    inverse = images.new_full((len(images),), 1 / SIZE)
    zero = torch.zeros_like(inverse)
    return _resample(images, inverse, zero, zero, inverse)


def rotate(images: Tensor, draws: Draws) -> Tensor:
    """Rotate by 0.4 radians, 23 degrees, in either direction."""
    sine = draws.sign() * math.sin(ROTATION)
    cosine = torch.full_like(sine, math.cos(ROTATION))
    return _resample(images, cosine, -sine, sine, cosine)


def translate(images: Tensor, draws: Draws) -> Tensor:
    """Shift by 3 of 28 pixels along both axes, each in either direction."""
    height, width = images.shape[-2:]
    down, right = round(SHIFT * height), round(SHIFT * width)
    padded = F.pad(images, (right, right, down, down))
    signs = draws.integers(0, 1, 2)
    moved = torch.empty_like(images)
    for top in (0, 1):
        for left in (0, 1):
            chosen = (signs == torch.tensor([top, left], device=signs.device)).all(dim=1)
            rows, columns = slice(2 * down * top, None), slice(2 * right * left, None)
            moved[chosen] = padded[chosen, :, rows, columns][..., :height, :width]
    return moved


def _resample(images: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor) -> Tensor:
    """Return images in which the pixel at (x, y) comes from (xx*x + xy*y, yx*x + yy*y), seen from the centre.

    The factors are float ``(B,)``, in pixels; grid_sample counts in sides, hence the ratio of the sides.
    """
    height, width = images.shape[-2:]
    zero = torch.zeros_like(xx)
    matrix = torch.stack([xx, xy * (height / width), zero, yx * (width / height), yy, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False).clamp(0, 1)
