"""Nearest neighbours under the image distortion model (IDM), which lets every pixel move a little.

Source: Keysers et al. 2007, "Deformation models for image recognition", section 3: zero-order deformation with the
local context of gradients. No network is involved, and nothing is trained.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.errors import InputError

SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
PAIRS = 100  # compared at once: their differences stay in the processor's cache
IMAGES = 200  # whose distances to all references are computed at once


def gradients(images: Tensor) -> Tensor:
    """Return the horizontal and vertical Sobel gradients of images, ``(N, C, H, W)`` to ``(N, 2 C, H, W)``.

    Args:
        images: of any dtype; outside they are black (0).
    """
    channels = images.shape[1]
    kernels = torch.stack([SOBEL, SOBEL.T]).unsqueeze(1).repeat(channels, 1, 1, 1)
    return F.conv2d(images.float(), kernels.to(images.device), padding=1, groups=channels)


def distortion(tests: Tensor, references: Tensor, warp: int = 2) -> Tensor:
    """Return the IDM distance of each pair, ``(N,)``: zero for equal images. It is not symmetric.

    Each pixel of the test image is compared with every pixel of the reference at most `warp` away, by the sum of
    squared differences of their 3x3 surroundings. The smallest of these counts, and the distance is the sum over all
    pixels. Beyond the border, surroundings do not count, and references are zero.

    Args:
        tests: gradients, float ``(N, D, H, W)``.
        references: the same shape.
        warp: how far a pixel may move on each axis.
    """
    height, width = tests.shape[2:]
    padded = F.pad(references, (warp, warp, warp, warp))
    best = tests.new_full((len(tests), height, width), torch.inf)
    costs = tests.new_zeros(len(tests), height + 2, width + 2)  # of single pixels, with a border
    for down in range(2 * warp + 1):
        for right in range(2 * warp + 1):
            moved = padded[:, :, down : down + height, right : right + width]
            costs[:, 1:-1, 1:-1] = (tests - moved).square_().sum(1)
            rows = costs[:, :-2] + costs[:, 1:-1] + costs[:, 2:]  # three times as fast as pooling
            torch.minimum(best, rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:], out=best)
    return best.flatten(1).sum(1)


def euclidean(tests: Tensor, references: Tensor, neighbours: int) -> Tensor:
    """Return the numbers of the references of the smallest Euclidean distance, ``(N, neighbours)``, nearest first.

    Args:
        tests: images, ``(N, C, H, W)``.
        references: images, ``(M, C, H, W)``.
        neighbours: how many.
    """
    flat = references.flatten(1).float()
    parts = tests.flatten(1).float().split(IMAGES)
    return torch.cat([torch.cdist(part, flat).topk(neighbours, largest=False).indices for part in parts])


def nearest(
    tests: Tensor, references: Tensor, neighbours: int = 3, candidates: int = 100, warp: int = 2
) -> tuple[Tensor, Tensor]:
    """Return the numbers of the nearest references of each test image and their distances, ``(N, neighbours)`` each.

    Only the candidates that are nearest in Euclidean distance of the pixels are compared, as in the paper (500 there).

    Args:
        tests: images, ``(N, C, H, W)``.
        references: images, ``(M, C, H, W)``.
        neighbours: how many to return, nearest first.
        candidates: how many to compare.
        warp: see `distortion`.

    Raises:
        InputError: if the images differ in shape, or there are not as many references or candidates as asked for.
    """
    if tests.shape[1:] != references.shape[1:]:
        raise InputError(f"images of {tuple(tests.shape[1:])} and references of {tuple(references.shape[1:])} differ")
    if warp < 0 or not 1 <= neighbours <= candidates <= len(references):
        raise InputError(
            f"neighbours={neighbours}, candidates={candidates} and warp={warp} of {len(references)} references: they "
            f"must be 1 <= neighbours <= candidates <= references, and warp 0 or more"
        )
    found, distances = [], []
    for feature, chosen in zip(gradients(tests), euclidean(tests, references, candidates), strict=True):
        known = gradients(references[chosen])
        pairs = [distortion(feature.expand_as(part), part, warp) for part in known.split(PAIRS)]
        order = torch.cat(pairs).sort(stable=True)
        found.append(chosen[order.indices[:neighbours]])
        distances.append(order.values[:neighbours])
    return torch.stack(found), torch.stack(distances)


def classify(labels: Tensor, num_classes: int) -> Tensor:
    """Return the class that most neighbours have, int64 ``(N,)``; of equally frequent ones that of the nearest.

    Args:
        labels: of each image's neighbours, nearest first, int64 ``(N, K)``.
        num_classes: number of classes.
    """
    votes = F.one_hot(labels, num_classes).sum(1)
    frequent = votes.gather(1, labels) == votes.amax(1, keepdim=True)  # (N, K): neighbours of a most frequent class
    return labels.gather(1, frequent.int().argmax(1, keepdim=True)).squeeze(1)  # argmax: the first of them
