"""The convolutional networks of the papers: one family, with a preset for each row of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.models.layers import Features, ImageSize, height_and_width, make_activation, size_words
from mnist_zoo.models.registry import register_model

PADDINGS = ("valid", "same")
DOWNSAMPLING = ("pooling", "stride")


class CNN(nn.Module):
    """Stages of convolutions that each halve the image, then dense layers.

    A stage is one or more times (convolution, optional batch norm, activation), then max-pooling and optional dropout.

    Sources, with parameter counts for 10 classes: `cnn` and `cnn_dropout` (225,034) are the baseline and the improved
    network of the `dropout` paper; `cnn_2dense` (241,546), `cnn_batchnorm` (242,250), `cnn_l2`, `cnn_2dense_dropout`
    and `deep_cnn` (2,098,442) are rows of Table 1 of `architectures`; `two_conv` (65,194) and `double_conv` (887,530)
    are the networks of `digits_fashion`. `cnn_strided` (80,554) is our own, made for `experiment=fast99`, with strided
    5x5 convolutions as in LeCun et al. 1989.

    Args:
        num_classes: width of the logits.
        in_chans: channels of the images.
        image_size: side of the square images, or ``[height, width]``, pixels.
        channels: one entry a stage: the output channels of its convolution, or a list for several convolutions.
        kernel_size: side of the kernels: one number, or one a stage.
        padding: ``valid`` (no padding) or ``same`` (zero padding that keeps the size, but for strides).
        downsampling: how a stage halves the image: ``pooling`` (2x2 max-pooling at its end), or ``stride`` (its last
            convolution has stride 2, and there is no pooling; Springenberg et al. 2015).
        ceil_mode: round the size after pooling up, so that five stages fit 28x28 images (28-14-7-4-2-1).
        dense: units of each dense layer: a number or a list; empty for none.
        dropout: rate after each stage.
        dropout_dense: rate before the output layer.
        batch_norm: batch norm after every convolution and dense layer.
        activation: a name in `mnist_zoo.models.layers.ACTIVATIONS`.
        l2: factor of the sum of squared weights that `penalty` returns.

    Raises:
        InputError: if the images are too small for the stages, or the arguments contradict each other.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: ImageSize = 28,
        channels: Sequence[int | Sequence[int]] = (32, 64),
        kernel_size: int | Sequence[int] = 3,
        padding: str = "valid",
        downsampling: str = "pooling",
        ceil_mode: bool = False,
        dense: int | Sequence[int] = (128,),
        dropout: float = 0.0,
        dropout_dense: float = 0.0,
        batch_norm: bool = False,
        activation: str = "relu",
        l2: float = 0.0,
    ):
        super().__init__()
        self.l2 = l2
        kernels = [kernel_size] * len(channels) if isinstance(kernel_size, int) else list(kernel_size)
        _check(channels, kernels, padding, downsampling, ceil_mode)

        layers: list[nn.Module] = []
        width = in_chans
        sides: tuple[int, ...] = height_and_width(image_size)  # cnn: (N, 1, 28, 28)
        for stage_channels, kernel in zip(channels, kernels, strict=True):
            outputs = _as_list(stage_channels)
            for position, out in enumerate(outputs, start=1):
                stride = 2 if downsampling == "stride" and position == len(outputs) else 1
                zeros = (kernel - 1) // 2 if padding == "same" else 0
                # torch has no padding="same" for convolutions with a stride: these get explicit zeros.
                layers.append(nn.Conv2d(width, out, kernel, stride, padding if stride == 1 else zeros))
                if padding == "valid" or stride > 1:
                    sides = tuple((side + 2 * zeros - kernel) // stride + 1 for side in sides)
                if batch_norm:
                    layers.append(nn.BatchNorm2d(out))
                layers.append(make_activation(activation))
                width = out
            if downsampling == "pooling":
                layers.append(nn.MaxPool2d(2, ceil_mode=ceil_mode))
                sides = tuple((side + 1) // 2 if ceil_mode else side // 2 for side in sides)
            if dropout:
                layers.append(nn.Dropout(dropout))
            _require_pixels(sides, image_size, channels, downsampling)
            # cnn: (N, 32, 13, 13) after the first stage, (N, 64, 5, 5) after the second

        layers.append(nn.Flatten())  # cnn: (N, 1600)
        widths = [width * sides[0] * sides[1], *_as_list(dense)]
        for width, units in pairwise(widths):
            layers.append(nn.Linear(width, units))
            if batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(make_activation(activation))
        if dropout_dense:
            layers.append(nn.Dropout(dropout_dense))
        self.features = Features(layers, in_chans, image_size)  # cnn: (N, 128)
        self.head = nn.Linear(widths[-1], num_classes)  # (N, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def penalty(self) -> Tensor | None:
        """Return ``l2 * sum(w^2)`` over convolution and dense weights (not biases), a scalar; None if `l2` is 0."""
        if not self.l2:
            return None
        weights = [layer.weight for layer in self.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        return self.l2 * torch.stack([weight.square().sum() for weight in weights]).sum()


def _check(channels: Sequence, kernels: Sequence[int], padding: str, downsampling: str, ceil_mode: bool) -> None:
    """Raise InputError for arguments of `CNN` that are unknown or contradict each other."""
    if len(kernels) != len(channels):
        raise InputError(f"kernel_size has {len(kernels)} entries for {len(channels)} stages of channels")
    if padding not in PADDINGS:
        raise unknown("padding", padding, PADDINGS)
    if downsampling not in DOWNSAMPLING:
        raise unknown("downsampling", downsampling, DOWNSAMPLING)
    if downsampling == "stride" and ceil_mode:
        raise InputError(
            "ceil_mode=true rounds the size after pooling, and downsampling=stride has no pooling: drop one"
        )


def _require_pixels(sides: Sequence[int], image_size: ImageSize, channels: Sequence, downsampling: str) -> None:
    """Raise InputError if a map has no pixels left after a stage."""
    if min(sides) < 1:
        raise InputError(
            f"a {size_words(image_size)} image has no pixels left after the stages channels={list(channels)}: "
            f"use fewer stages, or padding=same{' with ceil_mode=true' if downsampling == 'pooling' else ''}"
        )


def _as_list(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


PRESETS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "cnn_dropout": {"dropout": 0.25, "dropout_dense": 0.5},
    "cnn_2dense": {"dense": (128, 128)},
    "cnn_batchnorm": {"dense": (128, 128), "batch_norm": True},
    "cnn_l2": {"dense": (128, 128), "l2": 1e-4},
    "cnn_2dense_dropout": {"dense": (128, 128), "dropout": 0.25, "dropout_dense": 0.5},
    "deep_cnn": {"channels": (32, 64, 128, 256, 512), "padding": "same", "ceil_mode": True, "dense": (512, 512)},
    "cnn_strided": {"channels": (16, 32), "kernel_size": 5, "downsampling": "stride", "batch_norm": True},
    "two_conv": {"channels": ((64, 32),), "dense": ()},
    "double_conv": {
        "channels": ((32, 32), (64, 64)),
        "kernel_size": (5, 3),
        "padding": "same",
        "dense": (256,),
        "dropout": 0.25,
        "dropout_dense": 0.5,
    },
}
for _name, _preset in PRESETS.items():
    register_model(_name)(partial(CNN, **_preset))
