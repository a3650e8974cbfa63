"""Dropout from uniform random numbers. On a CPU torch draws these faster than its Bernoulli numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UniformDropout(nn.Dropout):
    """``nn.Dropout`` with the same distribution, but other random numbers, on the CPU; elsewhere ``nn.Dropout``."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 1 or x.device.type != "cpu":
            return super().forward(x)
        factor = torch.rand_like(x, dtype=torch.float32).ge_(self.p).div_(1 - self.p)  # 0 or 1 / (1 - p)
        return x * factor.to(x.dtype)


def apply(network: nn.Module, device: torch.device) -> bool:
    """Replace every ``nn.Dropout`` whose rate is above 0."""
    applied = False
    if device.type != "cpu":
        return applied
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Dropout and layer.p > 0:
                setattr(parent, name, UniformDropout(layer.p).train(layer.training))
                applied = True
    return applied
