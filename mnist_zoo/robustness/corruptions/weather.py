"""Corruptions that cover the image: fog and spatter."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist_zoo.robustness.corruptions.blur import gaussian_blur, unit
from mnist_zoo.robustness.corruptions.draws import Draws

FOG, ROUGHNESS = 3.0, 1.4  # strength, and by how much each finer level is weaker (squared)
FOG_MAPS = 4  # that the images of a block share; ours
WET, SPREAD, WET_SIGMA = 0.65, 0.3, 1.0  # threshold and mean, standard deviation, pixels of 28 of the blur
DROP_SIGMA, DROP = 1.5, 0.8  # pixels of 28 of the blur of the drops, and the least cover
MUD = 63 / 255  # its brightness


def fog(images: Tensor, draws: Draws) -> Tensor:
    """Add 3 times a cloud of brightness 0 to 1, and scale back to the image's own maximum.

    Clouds come from the diamond-square algorithm. As in the paper, an image gets a 28x28 part of a cloud of 256x256 on
    a torus. The paper makes a cloud for each image and takes its corner. Ours makes four for 256 images, and each
    image takes a random part of one.
    """
    height, width = images.shape[-2:]
    side = 256 if max(height, width) <= 32 else 1 << (8 * max(height, width) - 1).bit_length()
    clouds = _clouds(draws, side)
    which, top, left = draws.integers(0, FOG_MAPS - 1), *draws.integers(0, side - 1, 2).unbind(1)
    rows = (top.unsqueeze(1) + torch.arange(height, device=images.device)) % side
    columns = (left.unsqueeze(1) + torch.arange(width, device=images.device)) % side
    source = (which * side).unsqueeze(1).add(rows).mul(side).unsqueeze(2) + columns.unsqueeze(1)
    cloud = clouds.flatten().take(source).unsqueeze(1)
    most = images.amax(dim=(1, 2, 3), keepdim=True)
    return ((images + FOG * cloud) * (most / (most + FOG))).clamp(0, 1)


def _clouds(draws: Draws, side: int) -> Tensor:
    """Return clouds ``(FOG_MAPS, side, side)`` from 0 to 1, made from coarse to fine (Fournier et al. 1982).

    In each level the centres of the squares, then the middles of their sides, get the mean of their four neighbours and
    a random number whose range is 1.4 squared times smaller than in the level before.
    """
    cloud = torch.zeros_like(draws.shared(FOG_MAPS, 1, 1))
    strength = 1.0
    while cloud.shape[1] < side:
        count = cloud.shape[1]
        right, below = cloud.roll(-1, 2), cloud.roll(-1, 1)
        centre = (cloud + right + below + below.roll(-1, 2)) / 4 + strength * draws.shared(FOG_MAPS, count, count)
        above = (cloud + right + centre + centre.roll(1, 1)) / 4 + strength * draws.shared(FOG_MAPS, count, count)
        beside = (cloud + below + centre + centre.roll(1, 2)) / 4 + strength * draws.shared(FOG_MAPS, count, count)
        even = torch.stack([cloud, above], dim=3).flatten(2)
        odd = torch.stack([beside, centre], dim=3).flatten(2)
        cloud = torch.stack([even, odd], dim=2).flatten(1, 2)
        strength /= ROUGHNESS**2
    cloud -= cloud.amin(dim=(1, 2), keepdim=True)
    return cloud / cloud.amax(dim=(1, 2), keepdim=True)


def spatter(images: Tensor, draws: Draws) -> Tensor:
    """Cover the image with drops of mud, dark grey (63 of 255): blurred noise above a threshold, with soft edges."""
    size = unit(images)
    noise = WET + SPREAD * draws.normal(1, *images.shape[2:])
    wet = gaussian_blur(noise, WET_SIGMA * size) > WET
    drops = gaussian_blur(wet.float(), DROP_SIGMA * size)
    drops = torch.where(drops < DROP, torch.zeros_like(drops), drops).clamp(max=1.0)
    return images * (1 - drops) + MUD * drops
