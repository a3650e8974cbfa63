"""Flattening whose gradient has the memory format of its input.

The gradient of ``nn.Flatten`` is contiguous. The backward pass of a pooling whose input is channels last then takes a
slow path, for average pooling several times as slow.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FormatKeepingFlatten(nn.Flatten):
    """``nn.Flatten`` whose gradient is channels last if its input is."""

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            # Not contiguous(memory_format=...), which torch.func cannot map over a batch.
            x.register_hook(lambda gradient: gradient.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
        return super().forward(x)


def apply(network: nn.Module, device: torch.device) -> bool:
    """Replace ``nn.Flatten`` behind convolutions or pooling."""
    applied = False
    if device.type != "cpu":
        return applied
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, layer in enumerate(list(sequence)):
            if type(layer) is nn.Flatten and place > 0 and (layer.start_dim, layer.end_dim) == (1, -1):
                sequence[place] = FormatKeepingFlatten()
                applied = True
    return applied
