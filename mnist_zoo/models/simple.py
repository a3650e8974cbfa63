"""The simple CNNs M3, M5 and M7 of An et al. 2020 (arXiv 2008.10400), and C1, C2 and C3, their counterparts."""

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
        batch_norm: if False, no layer has batch norm, and all have biases in its place.

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
        batch_norm: bool = True,
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
            layers.append(nn.Conv2d(width_in, width_out, kernel_size, bias=not batch_norm))
            layers += [nn.BatchNorm2d(width_out), nn.ReLU()] if batch_norm else [nn.ReLU()]
        layers.append(nn.Flatten())  # (N, 176 * 8 * 8) for M3
        self.features = Features(layers, in_chans, image_size)
        head = [nn.Linear(widths[-1] * height * width, num_classes, bias=not batch_norm), nn.BatchNorm1d(num_classes)]
        self.head = nn.Sequential(*(head if batch_norm else head[:1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class PooledCNN(nn.Module):
    """Common CNNs: stages of 5x5 convolutions and 2x2 max-pooling, dense layers; batch norm after each, no biases.

    Source: An et al. 2020, figure 8, and the networks ``comp1`` to ``comp3`` of its authors' code
    (github.com/ansh941/MnistSimpleCNN), which fix what the text leaves open. `simple_c1` has two convolutions (269,524
    parameters), `simple_c2` the same and a dense layer of 100 units (835,204), without an activation as in that code,
    `simple_c3` four convolutions (576,180). (In that code, the files of C2 and C3 have each other's class name; the
    sizes of its saved weights agree with the names of the files.)

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels.
        channels: output channels of each convolution, a list for each stage.
        dense: units of each dense layer before the last one.

    Raises:
        InputError: if the images are too small for the stages.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        channels: Sequence[Sequence[int]] = ((64,), (128,)),
        dense: Sequence[int] = (),
    ):
        super().__init__()
        layers: list[nn.Module] = []
        width = in_chans
        height, columns = height_and_width(image_size)
        for stage in channels:
            for out in stage:
                layers += [nn.Conv2d(width, out, 5, padding=2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
                width = out
            layers.append(nn.MaxPool2d(2))
            height, columns = height // 2, columns // 2  # C1: (N, 64, 14, 14), then (N, 128, 7, 7)
        if min(height, columns) < 1:
            raise InputError(
                f"a {size_words(image_size)} image has no pixels left after {len(channels)} poolings: use fewer "
                f"entries in channels, or larger images"
            )
        layers.append(nn.Flatten())  # (N, 6272)
        widths = [width * height * columns, *dense]
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out, bias=False), nn.BatchNorm1d(width_out)]
        self.features = Features(layers, in_chans, image_size)
        self.head = nn.Sequential(nn.Linear(widths[-1], num_classes, bias=False), nn.BatchNorm1d(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


PRESETS: dict[str, dict[str, Any]] = {
    "simple_m3": {"kernel_size": 3, "channels": tuple(range(32, 177, 16))},
    "simple_m5": {"kernel_size": 5, "channels": tuple(range(32, 161, 32))},
    "simple_m7": {"kernel_size": 7, "channels": tuple(range(48, 193, 48))},
}
POOLED_PRESETS: dict[str, dict[str, Any]] = {
    "simple_c1": {"channels": ((64,), (128,))},
    "simple_c2": {"channels": ((64,), (128,)), "dense": (100,)},
    "simple_c3": {"channels": ((32, 64), (96, 128))},
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(SimpleCNN, **_preset))
for _name, _preset in POOLED_PRESETS.items():
    register_model(_name)(partial(PooledCNN, **_preset))
