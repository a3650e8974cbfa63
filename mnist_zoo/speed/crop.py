"""Images without the pixels that do not reach the output.

Max-pooling drops the last row and column of a map of odd size. Without padding, what only these depend on is dropped
with them: of 28x28 pixels, `cnn` uses 26x26.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mnist_zoo.models.layers import Features
from mnist_zoo.speed.patches import ConvMaxPool2d


def apply(network: nn.Module, device: torch.device) -> bool:
    """Crop the images of training batches in front of the first layer. Evaluation computes the whole network.

    Applies to networks whose `Features` are unpadded convolutions, 2x2 max-pooling, activations and dropout up to
    ``nn.Flatten``. (Batch norm's statistics depend on all pixels.)
    """
    features = getattr(network, "features", None)
    if device.type != "cpu" or not isinstance(features, Features):
        return False
    height, width = (used_side(list(features), side) for side in features.image_size)
    if None in (height, width) or (height, width) == features.image_size:
        return False

    def crop(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (inputs[0][..., :height, :width],) if layer.training else None

    features[0].register_forward_pre_hook(crop)
    return True


def used_side(layers: Sequence[nn.Module], side: int) -> int | None:
    """Return the side of the upper left square of an image on which the flattened output depends; None if unknown."""
    steps: list[tuple[int, int]] = []  # of each layer: kernel size - 1, and the factor of its pooling
    for layer in layers:
        match layer:
            case nn.Flatten():
                break
            case ConvMaxPool2d():
                steps += [(layer.kernel_size[0] - 1, 1), (0, 2)]
            case nn.Conv2d() if _valid(layer):
                steps.append((layer.kernel_size[0] - 1, 1))
            case nn.MaxPool2d() if _plain(layer):
                steps.append((0, 2))
            case nn.ReLU() | nn.LeakyReLU() | nn.ELU() | nn.GELU() | nn.SiLU() | nn.Tanh() | nn.Sigmoid():
                pass
            case nn.Dropout() | nn.Identity():
                pass
            case _:
                return None
    else:
        return None  # no nn.Flatten
    for lost, factor in steps:
        side = (side - lost) // factor
    for lost, factor in reversed(steps):
        side = side * factor + lost
    return side


def _valid(layer: nn.Conv2d) -> bool:
    square = layer.kernel_size[0] == layer.kernel_size[1]
    return square and layer.padding in ((0, 0), "valid") and (layer.stride, layer.dilation) == ((1, 1), (1, 1))


def _plain(layer: nn.MaxPool2d) -> bool:
    settings: tuple[Any, ...] = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
    return settings == (2, 2, 0, 1, False)
