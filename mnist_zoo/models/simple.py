"""The simple CNNs M3, M5 and M7, members of the ensembles of An et al. 2020 (arXiv 2008.10400)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from mnist_zoo.errors import InputError
from mnist_zoo.models.layers import Features
from mnist_zoo.models.registry import register_model


class SimpleCNN(nn.Module):
    """Valid, bias-free convolutions with batch norm and ReLU, no pooling; a bias-free linear layer with batch norm.

    Source: An et al. 2020, Table 1: M3 has ten 3x3 layers of 32 to 176 channels (1,124,180 parameters), M5 five 5x5
    layers of 32 to 160 (1,128,180), M7 four 7x7 layers of 48 to 192 (2,291,972).
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: int = 28,
        kernel_size: int = 3,
        channels: Sequence[int] = tuple(range(32, 177, 16)),
    ):
        super().__init__()
        side = image_size - len(channels) * (kernel_size - 1)
        if side < 1:
            raise InputError(
                f"a {image_size}x{image_size} image vanishes in {len(channels)} valid {kernel_size}x{kernel_size} "
                f"convolutions: use fewer channels entries, or larger images"
            )
        layers: list[nn.Module] = []
        widths = [in_chans, *channels]
        for width_in, width_out in pairwise(widths):
            layers += [nn.Conv2d(width_in, width_out, kernel_size, bias=False), nn.BatchNorm2d(width_out), nn.ReLU()]
        layers.append(nn.Flatten())  # (N, 176 * 8 * 8) for M3
        self.features = Features(layers, in_chans, image_size)
        self.head = nn.Sequential(
            nn.Linear(widths[-1] * side * side, num_classes, bias=False), nn.BatchNorm1d(num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


PRESETS = {
    "simple_m3": {"kernel_size": 3, "channels": tuple(range(32, 177, 16))},
    "simple_m5": {"kernel_size": 5, "channels": tuple(range(32, 161, 32))},
    "simple_m7": {"kernel_size": 7, "channels": tuple(range(48, 193, 48))},
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(SimpleCNN, **_preset))
