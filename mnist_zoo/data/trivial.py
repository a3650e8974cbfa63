"""One random change for each image, in the manner of TrivialAugment."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.data.arguments import require_number
from mnist_zoo.data.augmentations import register_augmentation

DEGREES, SHEAR, SHIFT, FACTOR, BITS = 30.0, 0.3, 10 / 32, 0.9, 4  # at full strength: Müller & Hutter 2021, table 5


@register_augmentation("trivial")
def trivial(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Change each image in one way, chosen at random, by a random amount (TrivialAugment: Müller & Hutter 2021).

    The changes are those of their space "RA" that exist for images of one channel: none, rotation, shear and shift on
    each axis, brightness, contrast, posterisation and solarisation. The amount is continuous, not one of 31 levels, and
    images are interpolated linearly.

    Args:
        images: float ``(B, C, H, W)``, 0 to 255.
        generator: of the random numbers.
        strength: share of the ranges of the paper, above 0 to 1.
    """
    require_number("augment.strength", strength, 0, 1, above=True)
    which = torch.randint(len(CHANGES), (len(images),), generator=generator)
    amounts = strength * (2 * torch.rand(len(images), generator=generator) - 1)
    which, amounts = which.to(images.device), amounts.to(images.device)
    changed = images.clone()
    for place, change in enumerate(CHANGES):
        chosen = (which == place).nonzero().squeeze(1)
        if len(chosen):
            changed[chosen] = change(images[chosen], amounts[chosen])
    return changed


def identity(images: Tensor, amounts: Tensor) -> Tensor:
    """Return the images. (All changes take float ``(B, C, H, W)``, and amounts in -1..1, ``(B,)``.)"""
    return images


def rotate(images: Tensor, amounts: Tensor) -> Tensor:
    """Rotate by up to 30 degrees; positive amounts are clockwise."""
    angle, aspect = amounts * math.radians(DEGREES), images.shape[2] / images.shape[3]
    cos, sin = angle.cos(), angle.sin()
    return _resampled(images, cos, sin * aspect, -sin / aspect, cos)


def shear_x(images: Tensor, amounts: Tensor) -> Tensor:
    """Shift each row by up to 0.3 of its distance from the centre."""
    one, none = torch.ones_like(amounts), torch.zeros_like(amounts)
    return _resampled(images, one, amounts * SHEAR * images.shape[2] / images.shape[3], none, one)


def shear_y(images: Tensor, amounts: Tensor) -> Tensor:
    """Shift each column by up to 0.3 of its distance from the centre."""
    one, none = torch.ones_like(amounts), torch.zeros_like(amounts)
    return _resampled(images, one, none, amounts * SHEAR * images.shape[3] / images.shape[2], one)


def shift_x(images: Tensor, amounts: Tensor) -> Tensor:
    """Shift by up to 10/32 of the width; positive amounts to the right."""
    one, none = torch.ones_like(amounts), torch.zeros_like(amounts)
    return _resampled(images, one, none, none, one, -2 * SHIFT * amounts, none)


def shift_y(images: Tensor, amounts: Tensor) -> Tensor:
    """Shift by up to 10/32 of the height; positive amounts downwards."""
    one, none = torch.ones_like(amounts), torch.zeros_like(amounts)
    return _resampled(images, one, none, none, one, none, -2 * SHIFT * amounts)


def brightness(images: Tensor, amounts: Tensor) -> Tensor:
    """Multiply by 0.1 to 1.9."""
    return (images * _factors(amounts)).clamp(0, 255)


def contrast(images: Tensor, amounts: Tensor) -> Tensor:
    """Multiply the difference from the image's mean brightness by 0.1 to 1.9."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * _factors(amounts)).clamp(0, 255)


def posterize(images: Tensor, amounts: Tensor) -> Tensor:
    """Keep 8 to 4 bits of the brightness."""
    step = (2 ** (amounts.abs() * BITS).round()).view(-1, 1, 1, 1)
    return (images / step).floor() * step


def solarize(images: Tensor, amounts: Tensor) -> Tensor:
    """Invert what is at least as bright as a threshold, which falls from 256 to 0."""
    return torch.where(images >= 256 * (1 - amounts.abs()).view(-1, 1, 1, 1), 255 - images, images)


CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    *(identity, rotate, shear_x, shear_y, shift_x, shift_y),
    *(brightness, contrast, posterize, solarize),
)


def _factors(amounts: Tensor) -> Tensor:
    return (1 + FACTOR * amounts).view(-1, 1, 1, 1)


def _resampled(
    images: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor, x: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """Return images whose pixel at (h, v) is that of the original at (xx h + xy v + x, yx h + yy v + y)."""
    none = torch.zeros_like(xx)
    x, y = (none if part is None else part for part in (x, y))
    matrix = torch.stack([xx, xy, x, yx, yy, y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)
