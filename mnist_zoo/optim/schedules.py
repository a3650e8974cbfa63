"""The learning-rate schedules of the library. ``none`` keeps the learning rate."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from mnist_zoo.optim.building import register_scheduler


@register_scheduler("none")
def none(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """Return a schedule that keeps the learning rate."""
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


@register_scheduler("plateau", every="epoch")
def plateau(
    optimizer: Optimizer, steps: int, monitor: str = "val_acc", **options: Any
) -> lr_scheduler.ReduceLROnPlateau:
    """Lower the learning rate when a metric has not improved for some epochs.

    Args:
        optimizer: whose learning rate changes.
        steps: not used.
        monitor: ``val_acc`` or ``val_loss``.
        **options: of torch's ``ReduceLROnPlateau``, such as ``patience``, ``factor`` and ``min_lr``.
    """
    return lr_scheduler.ReduceLROnPlateau(optimizer, mode="max" if monitor.endswith("acc") else "min", **options)


@register_scheduler("exponential", every="epoch")
def exponential(optimizer: Optimizer, steps: int, gamma: float) -> lr_scheduler.ExponentialLR:
    """Multiply the learning rate by `gamma` after every epoch."""
    return lr_scheduler.ExponentialLR(optimizer, gamma)


@register_scheduler("cosine")
def cosine(optimizer: Optimizer, steps: int, min_lr: float = 0.0) -> lr_scheduler.CosineAnnealingLR:
    """Lower the learning rate to `min_lr` along half a cosine (Loshchilov & Hutter 2017, without restarts)."""
    return lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=min_lr)


@register_scheduler("warmup_cosine")
def warmup_cosine(
    optimizer: Optimizer, steps: int, warmup: float = 0.1, min_lr: float = 0.0
) -> lr_scheduler.LRScheduler:
    """Raise the learning rate linearly to ``lr``, then lower it to `min_lr` along half a cosine.

    The linear start is that of Goyal et al. 2017, section 2.2, counted in steps; the cosine that of Loshchilov & Hutter
    2017, without restarts.

    Args:
        optimizer: whose learning rate changes.
        steps: optimizer steps of the whole training.
        warmup: share of the steps in which the learning rate rises. The first of them already has one part of it.
        min_lr: learning rate after the last step.
    """
    rising = round(warmup * steps)

    def factor(step: int, lowest: float) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        progress = min(1.0, (step - rising) / max(1, steps - rising))
        return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2

    shares = [min_lr / group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.LambdaLR(optimizer, [partial(factor, lowest=share) for share in shares])


@register_scheduler("onecycle")
def onecycle(optimizer: Optimizer, steps: int, **options: Any) -> lr_scheduler.OneCycleLR:
    """Raise the learning rate to its largest value, ``lr``, then lower it to almost 0 (Smith & Topin 2018).

    As in the paper, momentum goes the other way: from 0.95 to 0.85 and back. It takes the place of the optimizer's own
    ``momentum``, or of the first of its ``betas``, also where that is 0; ``cycle_momentum=False`` keeps it.

    Args:
        optimizer: whose learning rate changes.
        steps: optimizer steps of the whole training.
        **options: of torch's ``OneCycleLR``, such as ``pct_start``.
    """
    highest = [group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(optimizer, max_lr=highest, total_steps=steps, **options)
