"""The simple CNNs M3, M5 and M7, members of the ensembles of An et al. 2020 (arXiv 2008.10400)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from mnist_zoo.errors import InputError
from mnist_zoo.models.layers import Features, ImageSize, height_and_width, size_words
from mnist_zoo.models.registry import register_model


class SimpleCNN(nn.Module):
    """Valid convolutions without bias, each with batch norm and ReLU; no pooling; a linear layer with batch norm.

    Source: An et al. 2020, Table 1. `simple_m3` has ten 3x3 convolutions of 32 to 176 channels (1,124,180 parameters),
    `simple_m5` five 5x5 convolutions of 32 to 160 (1,128,180), `simple_m7` four 7x7 convolutions of 48 to 192
    (2,291,972).

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels.
        kernel_size: side of all kernels.
        channels: output channels of each convolution.

    Raises:
        InputError: if the images are too small for the convolutions.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        kernel_size: int = 3,
        channels: Sequence[int] = tuple(range(32, 177, 16)),
    ):
        super().__init__()
        height, width = (side - len(channels) * (kernel_size - 1) for side in height_and_width(image_size))
        if min(height, width) < 1:
            raise InputError(
                f"a {size_words(image_size)} image has no pixels left after {len(channels)} valid convolutions "
                f"{kernel_size}x{kernel_size}: use fewer entries in channels, or larger images"
            )
        layers: list[nn.Module] = []
        widths = [in_chans, *channels]
        for width_in, width_out in pairwise(widths):
            layers += [nn.Conv2d(width_in, width_out, kernel_size, bias=False), nn.BatchNorm2d(width_out), nn.ReLU()]
        layers.append(nn.Flatten())  # (N, 176 * 8 * 8) for M3
        self.features = Features(layers, in_chans, image_size)
        self.head = nn.Sequential(
            nn.Linear(widths[-1] * height * width, num_classes, bias=False), nn.BatchNorm1d(num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


PRESETS: dict[str, dict[str, Any]] = {
    "simple_m3": {"kernel_size": 3, "channels": tuple(range(32, 177, 16))},
    "simple_m5": {"kernel_size": 5, "channels": tuple(range(32, 161, 32))},
    "simple_m7": {"kernel_size": 7, "channels": tuple(range(48, 193, 48))},
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(SimpleCNN, **_preset))
