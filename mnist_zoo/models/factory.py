"""Building networks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from mnist_zoo.errors import InputError
from mnist_zoo.models.init import initialise
from mnist_zoo.models.pretrained import build_with, find_weights, trained_options
from mnist_zoo.models.registry import build, check_options, without_unset_size


def create_model(
    name: str,
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    init: str = "default",
    pretrained: str | Path | None = None,
    **options: Any,
) -> nn.Module:
    """Build a registered network with random or trained weights.

    Random weights come from torch's global random number generator.

    Args:
        name: one of `list_models`.
        num_classes: number of classes, the width of the logits.
        in_chans: number of channels of the input images.
        init: ``default`` (the network's own), ``xavier``, ``keras``, ``he`` or ``normal``; see
            `mnist_zoo.models.init.initialise`.
        pretrained: ``mnist`` or ``mnist-robust`` for weights shipped with the package (see `list_pretrained`), or the
            path of other weights: a run folder, a checkpoint, or a safetensors file that `export_model` wrote. Options
            that are not given are taken from the weights. The network's input is ``(brightness - mean) / std``, where
            brightness 0 is black and 1 is white. For the shipped weights the mean is 0.13073 and the standard deviation
            0.30819, measured on MNIST's 55,000 training images.
        **options: the network's own arguments, such as ``dense=96`` for the CNNs.

    Returns:
        A module that maps float32 ``(N, in_chans, 28, 28)``, or images of the side ``image_size``, to logits
        ``(N, num_classes)``.

    Raises:
        InputError: unknown name (the message lists the registered ones), unknown option, a value that the network does
            not accept, or pretrained weights that do not exist or were trained with other options.

    Example:
        >>> import torch
        >>> from mnist_zoo import create_model
        >>> model = create_model("resnet18", num_classes=47, in_chans=3)
        >>> model(torch.zeros(2, 3, 28, 28)).shape
        torch.Size([2, 47])
        >>> digits = create_model("lenet5", pretrained="mnist").eval()
        >>> digits.features(torch.zeros(1, 1, 28, 28)).shape
        torch.Size([1, 84])
    """
    options = without_unset_size(options) | {"num_classes": num_classes, "in_chans": in_chans}
    check_options(name, options)
    if pretrained is None:
        return initialise(build(name, options), init)
    if init != "default":
        raise InputError(f"init={init} and pretrained={pretrained} both set the weights: give only one of them")
    weights = find_weights(name, pretrained)
    return build_with(weights, name, trained_options(weights, name, options))
