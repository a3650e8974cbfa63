"""Convolutions in channels-last memory format, in which oneDNN's kernels need no reordering."""

from __future__ import annotations

import torch
from torch import nn

from mnist_zoo.models.resnet import ResNet18


def apply(network: nn.Module, device: torch.device) -> bool:
    """Convert the weights of convolutions to channels last; their outputs follow. Measured on CPUs only.

    ResNet-18 with its standard stem keeps its format: with maps of 7x7 pixels and fewer it became slower.
    """
    small_maps = isinstance(network, ResNet18) and not isinstance(network.maxpool, nn.Identity)
    convolutions = any(isinstance(module, nn.Conv2d) for module in network.modules())
    if device.type != "cpu" or small_maps or not convolutions:
        return False
    network.to(memory_format=torch.channels_last)
    return True
