"""Canny's edges (Canny 1986): what is left of an image are lines one pixel wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.robustness.corruptions.blur import gaussian_blur
from mnist_zoo.robustness.corruptions.draws import Draws

SIGMA = 1.0  # pixels
WEAK, STRONG = 0.1, 0.2  # least gradients of an edge and of its start: scikit-image's defaults, as in the paper


def canny_edges(images: Tensor, draws: Draws) -> Tensor:
    """Return the edges of each channel, white on black.

    The gradient of the blurred image is that of Sobel. An edge is where it is largest along its own direction, at least
    0.1, and connected to a place with at least 0.2. The outermost pixels are no edges.
    """
    smooth = F.pad(gaussian_blur(images, SIGMA, "nothing"), (1, 1, 1, 1), mode="replicate")
    left, right = (_sum_rows(smooth[..., part]) for part in (slice(None, -2), slice(2, None)))
    upper, lower = (_sum_columns(smooth[..., part, :]) for part in (slice(None, -2), slice(2, None)))
    across, down = right - left, lower - upper  # (B, C, H, W)
    gradient = torch.hypot(across, down)
    ridge = _is_ridge(gradient, across, down) & (gradient >= WEAK)
    ridge[..., [0, -1], :] = False
    ridge[..., [0, -1]] = False
    return _connected(ridge & (gradient >= STRONG), ridge)


def _sum_rows(images: Tensor) -> Tensor:
    """Return the sum of three neighbouring rows with the weights 1, 2, 1."""
    return images[..., :-2, :] + 2 * images[..., 1:-1, :] + images[..., 2:, :]


def _sum_columns(images: Tensor) -> Tensor:
    """Return the sum of three neighbouring columns with the weights 1, 2, 1."""
    return images[..., :-2] + 2 * images[..., 1:-1] + images[..., 2:]


def _is_ridge(gradient: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Return where the gradient is not smaller than one pixel further in its direction and in the opposite one.

    There it is interpolated between a direct and a diagonal neighbour.
    """
    padded = F.pad(gradient, (1, 1, 1, 1))
    height, width = gradient.shape[-2:]

    def neighbour(row: int, column: int) -> Tensor:
        return padded[..., 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    flat, same = across.abs() >= down.abs(), across * down >= 0
    steep = torch.minimum(across.abs(), down.abs()) / torch.maximum(across.abs(), down.abs()).clamp(min=1e-12)
    falling = (neighbour(1, 1), neighbour(-1, -1))
    rising = (neighbour(-1, 1), neighbour(1, -1))  # the first is to the right, the second below
    ridge = torch.ones_like(flat)
    for side, other in ((0, 1), (1, 0)):
        direct = torch.where(flat, neighbour(0, 1 - 2 * side), neighbour(1 - 2 * side, 0))
        diagonal = torch.where(same, falling[side], torch.where(flat, rising[side], rising[other]))
        ridge &= gradient >= diagonal * steep + direct * (1 - steep)
    return ridge


def _connected(strong: Tensor, ridge: Tensor) -> Tensor:
    """Return as float32 the pixels of `ridge` that are connected to `strong` ones, also over corners."""
    edges, allowed = strong.float(), ridge.float()
    while True:
        grown = F.max_pool2d(edges, 3, stride=1, padding=1) * allowed
        if torch.equal(grown, edges):
            return edges
        edges = grown
