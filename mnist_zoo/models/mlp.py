"""Multilayer perceptrons on raw pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from mnist_zoo.models.layers import Features, ImageSize, height_and_width, make_activation
from mnist_zoo.models.registry import register_model


class MLP(nn.Module):
    """Linear layers with an activation after each hidden one: 784-``hidden``-10.

    Sources: `mlp`, 784-120-84-10, is the MLP of the `lr_sweep` paper (105,214 parameters); `mlp_128`, 784-128-10, that
    of `keras_cnn` (101,770); `mlp_128_128`, 784-128-128-10, that of `architectures` (118,282).

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels.
        hidden: units of each hidden layer.
        dropout: rate after each hidden layer.
        activation: a name in `mnist_zoo.models.layers.ACTIVATIONS`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        hidden: Sequence[int] = (120, 84),
        dropout: float = 0.0,
        activation: str = "relu",
    ):
        super().__init__()
        height, width = height_and_width(image_size)
        widths = [in_chans * height * width, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]  # (N, 784)
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), make_activation(activation)]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.features = Features(layers, in_chans, image_size)  # (N, hidden[-1])
        self.head = nn.Linear(widths[-1], num_classes)  # (N, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


PRESETS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (120, 84)},
    "mlp_128": {"hidden": (128,)},
    "mlp_128_128": {"hidden": (128, 128)},
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(MLP, **_preset))
