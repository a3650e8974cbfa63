"""Exponential moving average of the weights."""

from __future__ import annotations

from functools import partial

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """Averages the weights after every step; the average is what is validated, saved as best, tested and exported.

    Batch norm's statistics are averaged as well.

    Args:
        decay: largest decay. After n steps it is ``min(decay, (1 + n) / (10 + n))`` (An et al. 2020), so that the
            random initial weights soon lose their influence.
    """

    def __init__(self, decay: float):
        super().__init__(use_buffers=True, avg_fn=partial(average, decay=decay))


def average(averaged: Tensor, current: Tensor, count: Tensor, decay: float) -> Tensor:
    """Return the new average of a tensor after `count` steps; integers, such as counters, are not averaged."""
    if not averaged.is_floating_point():
        return current
    weight = 1 - torch.clamp((1 + count) / (10 + count), max=decay)
    return torch.lerp(averaged, current, weight.to(averaged.dtype))
