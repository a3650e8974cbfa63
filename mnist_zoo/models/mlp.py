"""Multilayer perceptrons on raw pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from mnist_zoo.models.layers import Dropout, Features, make_activation
from mnist_zoo.models.registry import register_model


class MLP(nn.Module):
    """Linear layers with an activation between them: 784-``hidden``-10.

    Sources: 784-120-84-10 is the MLP of the `lr_sweep` paper (105,214 parameters), 784-128-10 of `keras_cnn`
    (101,770), 784-128-128-10 of `architectures` (118,282).
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: int = 28,
        hidden: Sequence[int] = (120, 84),
        dropout: float = 0.0,
        activation: str = "relu",
    ):
        super().__init__()
        widths = [in_chans * image_size**2, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]  # (N, 784)
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), make_activation(activation)]
            if dropout:
                layers.append(Dropout(dropout))
        self.features = Features(layers, in_chans, image_size)  # (N, hidden[-1])
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


PRESETS = {
    "mlp": {"hidden": (120, 84)},
    "mlp_128": {"hidden": (128,)},
    "mlp_128_128": {"hidden": (128, 128)},
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(MLP, **_preset))
