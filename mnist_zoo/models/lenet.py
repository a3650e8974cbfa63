"""LeNet-5 as textbooks draw it today."""

from __future__ import annotations

from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.models.layers import Features, Flatten, make_activation
from mnist_zoo.models.registry import register_model

POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


@register_model("lenet5")
class LeNet5(nn.Module):
    """Two 5x5 convolutions and three linear layers, 61,706 parameters.

    Source: the text of the `lr_sweep` paper (its tables, headed "LeNet", were measured on GoogLeNet). Unlike LeCun et
    al. 1998, every map sees every input map, pooling has no weights, and the output is linear.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: int = 28,
        activation: str = "sigmoid",
        pooling: str = "avg",
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        side = (image_size // 2 - 4) // 2
        if side < 1:
            raise InputError(f"a {image_size}x{image_size} image vanishes in LeNet-5: use image_size=12 or more")
        layers = (
            nn.Conv2d(in_chans, 6, 5, padding=2),  # (N, 6, 28, 28)
            make_activation(activation),
            POOLINGS[pooling](2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            make_activation(activation),
            POOLINGS[pooling](2),  # (N, 16, 5, 5)
            Flatten(),  # (N, 400)
            nn.Linear(16 * side * side, 120),
            make_activation(activation),
            nn.Linear(120, 84),
            make_activation(activation),
        )
        self.features = Features(layers, in_chans, image_size)
        self.head = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
