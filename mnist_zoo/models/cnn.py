"""The convolutional networks of the papers: one family, a preset for each row of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.models.layers import MONOTONE, Dropout, Features, Flatten, make_activation
from mnist_zoo.models.registry import register_model

DOWNSAMPLING = ("pooling", "stride")


class CNN(nn.Module):
    """Stages of convolutions that each halve the image, then dense layers.

    Args:
        num_classes, in_chans: width of the logits, channels of the images.
        image_size: side of the square images, pixels.
        channels: one entry a stage: the channels of its convolution, or a list for several.
        kernel_size: side of the kernels, one number or one a stage.
        padding: ``valid``, or ``same`` (zeros around: a stride apart, the size stays).
        downsampling: how a stage halves the image: ``pooling`` (2x2, max) at its end, or ``stride`` (2, of its last
            convolution, no pooling: Springenberg et al. 2015), a quarter of the work in that convolution.
        ceil_mode: round the pooled size up, so that five stages fit 28x28 (28-14-7-4-2-1).
        dense: units of each dense layer (a number or a list; empty for none).
        dropout: rate after each stage.
        dropout_dense: rate before the output layer.
        batch_norm: batch norm after every convolution and dense layer.
        activation: a name in `mnist_zoo.models.layers.ACTIVATIONS`.
        l2: factor of the squared weights that `penalty` returns for the loss.

    Sources, with parameter counts for 10 classes: `cnn` and `cnn_dropout` (225,034) are the baseline and improved
    networks of the `dropout` paper; `cnn_2dense` (241,546), `cnn_batchnorm` (242,250), `cnn_l2`, `cnn_2dense_dropout`
    and `deep_cnn` (2,098,442) are rows of Table 1 of `architectures`; `two_conv` (65,194) and `double_conv` (887,530)
    are the two networks of `digits_fashion`; `cnn_strided` (80,554) is the zoo's own, for `experiment=fast99`, with
    the strided 5x5 convolutions of LeCun et al. 1989. Where batch norm and pooling meet, the order is convolution,
    batch norm, pooling, activation: the same function as pooling last, for a quarter of the work (monotone activations
    only).

    Raises:
        InputError: if the images are too small for the stages, or the arguments do not fit each other.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        image_size: int = 28,
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
        if len(kernels) != len(channels):
            raise InputError(f"kernel_size has {len(kernels)} entries for {len(channels)} stages of channels")
        if padding not in ("valid", "same"):
            raise InputError(f"padding must be 'valid' or 'same', not '{padding}'")
        if downsampling not in DOWNSAMPLING:
            raise unknown("downsampling", downsampling, DOWNSAMPLING)
        strided = downsampling == "stride"
        if strided and ceil_mode:
            raise InputError("ceil_mode=true rounds the pooled size, and downsampling=stride pools nothing: drop one")

        layers: list[nn.Module] = []
        width, side = in_chans, image_size
        for number, (stage_channels, kernel) in enumerate(zip(channels, kernels, strict=True), start=1):
            widths = [width, *_as_list(stage_channels)]
            stage, side = _stage(widths, kernel, side, padding, strided, ceil_mode, batch_norm, activation)
            if side < 1:
                raise InputError(
                    f"a {image_size}x{image_size} image vanishes in stage {number} of channels={list(channels)}: "
                    f"use fewer stages, or padding=same{'' if strided else ' with ceil_mode=true'}"
                )
            layers += [*stage, Dropout(dropout)] if dropout else stage
            width = widths[-1]
        layers.append(Flatten())  # (N, width * side * side): 1600 for cnn
        seen = None
        # Pooling drops an odd map's last row and column, and without zeros around, what only those depend on is dropped
        # with them: cnn never sees its images' last two. (Batch norm's statistics do.)
        if padding == "valid" and not (strided or ceil_mode or batch_norm):
            seen = side
            for stage_channels, kernel in reversed(list(zip(channels, kernels, strict=True))):
                seen = 2 * seen + (kernel - 1) * len(_as_list(stage_channels))
        width *= side * side
        for units in _as_list(dense):
            layers.append(nn.Linear(width, units))
            if batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(make_activation(activation))
            width = units
        if dropout_dense:
            layers.append(Dropout(dropout_dense))
        self.features = Features(layers, in_chans, image_size, seen)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def penalty(self) -> Tensor | None:
        """Return ``l2 * sum(w^2)`` over convolution and dense weights (no biases), a scalar, or None without L2."""
        if not self.l2:
            return None
        layers = (layer for layer in self.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
        return self.l2 * sum(layer.weight.square().sum() for layer in layers)


def _stage(
    widths: Sequence[int],
    kernel: int,
    side: int,
    padding: str,
    strided: bool,
    ceil_mode: bool,
    batch_norm: bool,
    activation: str,
) -> tuple[list[nn.Module], int]:
    """Return layers of convolutions between these numbers of channels, the last halving, and the side they leave."""
    layers: list[nn.Module] = []
    for number, (width, out) in enumerate(pairwise(widths), start=1):
        if strided and number == len(widths) - 1:
            zeros = (kernel - 1) // 2 if padding == "same" else 0  # torch has no padding="same" with a stride
            layers.append(nn.Conv2d(width, out, kernel, stride=2, padding=zeros))
            side = (side + 2 * zeros - kernel) // 2 + 1
        else:
            layers.append(nn.Conv2d(width, out, kernel, padding=padding))
            side -= kernel - 1 if padding == "valid" else 0
        if batch_norm:
            layers.append(nn.BatchNorm2d(out))
        layers.append(make_activation(activation))
    if not strided:
        pooling = nn.MaxPool2d(2, ceil_mode=ceil_mode)
        layers.insert(len(layers) - 1 if activation in MONOTONE else len(layers), pooling)
        side = -(-side // 2) if ceil_mode else side // 2
    return layers, side


def _as_list(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


PRESETS = {
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
