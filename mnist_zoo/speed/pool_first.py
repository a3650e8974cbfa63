"""Max-pooling before the activation: a quarter of the activations to compute."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

# Non-decreasing functions f: the largest of f(a), f(b), ... is f of the largest of a, b, ...
MONOTONE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid)


def apply(network: nn.Module, device: torch.device) -> bool:
    """Swap each activation with the max-pooling right behind it, in every ``nn.Sequential`` of the network.

    Neither has parameters, so the names in the state dict stay.
    """
    applied = False
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, (activation, pooling) in enumerate(pairwise(list(sequence))):
            if isinstance(activation, MONOTONE) and isinstance(pooling, nn.MaxPool2d):
                sequence[place], sequence[place + 1] = pooling, activation
                applied = True
    return applied
