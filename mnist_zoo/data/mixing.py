"""Augmentations that mix the images of a batch, and their labels: MixUp and CutMix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mnist_zoo.data.arguments import require_number
from mnist_zoo.data.augmentations import register_augmentation


@register_augmentation("mixup")
def mixup(
    images: Tensor, targets: Tensor, generator: torch.Generator, alpha: float = 0.2, probability: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Mix each image with another one of its batch, and their labels likewise (Zhang et al. 2018).

    The share of the first image is drawn from Beta(alpha, alpha) for each image; the authors' code draws one for each
    batch.

    Args:
        images: float ``(B, C, H, W)``.
        targets: probabilities ``(B, num_classes)``.
        generator: of the random numbers.
        alpha: above 0; the paper's values are 0.2 to 1.
        probability: of an image to be mixed.
    """
    others, shares = _partners(len(images), generator, alpha, probability)
    others, shares = others.to(images.device), shares.to(images.device)
    share = shares.view(-1, 1, 1, 1)
    mixed = share * images + (1 - share) * images[others]
    return mixed, _shared(targets, others, shares)


@register_augmentation("cutmix")
def cutmix(
    images: Tensor, targets: Tensor, generator: torch.Generator, alpha: float = 1.0, probability: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of another image of the batch into each image (Yun et al. 2019).

    A share is drawn from Beta(alpha, alpha) for each image. The rectangle has the image's aspect ratio, the rest of
    this share as area, and its centre anywhere in the image; what lies outside is cut off. The labels have the shares
    of the pixels. The authors' code draws one rectangle for each batch.

    Args:
        images: float ``(B, C, H, W)``.
        targets: probabilities ``(B, num_classes)``.
        generator: of the random numbers.
        alpha: above 0.
        probability: of an image to be mixed; 0.5 is the paper's for CIFAR.
    """
    others, shares = _partners(len(images), generator, alpha, probability)
    side = (1 - shares).sqrt()
    rows = _covered(torch.rand(len(images), generator=generator), side, images.shape[2])
    columns = _covered(torch.rand(len(images), generator=generator), side, images.shape[3])
    pasted = rows.unsqueeze(2) & columns.unsqueeze(1)  # (B, H, W)
    shares = 1 - pasted.float().mean((1, 2))
    others, pasted, shares = (tensor.to(images.device) for tensor in (others, pasted, shares))
    return torch.where(pasted.unsqueeze(1), images[others], images), _shared(targets, others, shares)


def _partners(count: int, generator: torch.Generator, alpha: float, probability: float) -> tuple[Tensor, Tensor]:
    """Return the other image of each image, int64 ``(B,)``, and the share of its own, float32 ``(B,)``."""
    require_number("augment.alpha", alpha, 0, 100, above=True)
    require_number("augment.probability", probability, 0, 1)
    others = torch.randperm(count, generator=generator)
    # torch's own Beta distribution takes no generator.
    seed = int(torch.randint(2**62, (1,), generator=generator))
    shares = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()
    mixed = torch.rand(count, generator=generator) < probability
    return others, torch.where(mixed, shares, torch.ones(()))


def _covered(centre: Tensor, side: Tensor, pixels: int) -> Tensor:
    """Return bool ``(B, pixels)``: which pixels an interval covers; all lengths are shares of the image's side."""
    middles = (torch.arange(pixels) + 0.5) / pixels
    return (middles - centre.unsqueeze(1)).abs() < side.unsqueeze(1) / 2


def _shared(targets: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    share = shares.unsqueeze(1).to(targets.dtype)
    return share * targets + (1 - share) * targets[others]
