"""Trained weights in memory: tensors, and the description of the network and of its images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist_zoo.errors import InputError, printable


@dataclass(frozen=True)
class Description:
    """What is needed to build a trained network and to prepare images for it.

    Attributes:
        model: ``name`` and the network's options, as `create_model` takes them.
        num_classes: number of outputs.
        in_chans: number of input channels.
        image_shape: ``(channels, height, width)`` of the training images.
        data: name of the training data set, or None if it is unknown (the network was trained with another loader).
        mean: mean brightness of the training images, where 0 is black and 1 is white. The network's input is
            ``(brightness - mean) / std``. None if unknown.
        std: standard deviation of that brightness, or None if unknown.
        class_names: name of each output, in order.
        filters: the `MNISTDataModule` filters that were applied to the training images.
    """

    model: dict[str, Any]
    num_classes: int
    in_chans: int
    image_shape: tuple[int, int, int]
    data: str | None
    mean: float | None
    std: float | None
    class_names: tuple[str, ...]
    filters: dict[str, Any]

    @property
    def name(self) -> str:
        """The network's registered name."""
        return self.model["name"]


@dataclass(frozen=True)
class Weights:
    """The weights of one trained network.

    Attributes:
        state: the network's state dict, on the CPU, in the dtypes of the file.
        description: the network and its training images.
        path: the file that was read.
    """

    state: dict[str, Tensor]
    description: Description
    path: Path


# What `describe` and `check_state` raise for a file that was not written by this package.
INVALID = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

# Limits for what files say about themselves. They are far above every real network.
LONGEST = 1000  # characters of a name
MOST_CLASSES = 100_000
MOST_CHANNELS = 10_000
LARGEST_IMAGE = 2**22  # values; 2,048 x 2,048 grey pixels
MOST_BLURS = 1000
LARGEST_WIDTH = 1024  # pixels
MOST_OPTIONS = 10_000  # values in the network's options, nested ones included
DEEPEST = 8  # lists or dicts within each other


def describe(fields: Mapping[str, Any]) -> Description:
    """Return a description from the fields of a file, after checking each; lists become tuples.

    Raises one of `INVALID`.
    """
    num_classes = _whole("num_classes", fields["num_classes"], 1, MOST_CLASSES)
    in_chans = _whole("in_chans", fields["in_chans"], 1, MOST_CHANNELS)
    channels, height, width = (_whole("image_shape", size, 1, LARGEST_IMAGE) for size in fields["image_shape"])
    if channels * height * width > LARGEST_IMAGE:
        raise InputError(f"image_shape={channels}x{height}x{width}: more than {LARGEST_IMAGE:,} values an image")
    if channels != in_chans:
        raise InputError(f"image_shape has {channels} channels, and in_chans={in_chans}")
    names = fields["class_names"]
    class_names = tuple(
        _text("class_names", name) for name in (map(str, range(num_classes)) if names is None else names)
    )
    if len(class_names) != num_classes:
        raise InputError(f"{len(class_names)} class_names for num_classes={num_classes}")
    return Description(
        model=_model(fields["model"]),
        num_classes=num_classes,
        in_chans=in_chans,
        image_shape=(channels, height, width),
        data=None if fields["data"] is None else _text("data", fields["data"]),
        mean=_number("mean", fields["mean"]),
        std=_number("std", fields["std"], positive=True),
        class_names=class_names,
        filters=_filters(fields["filters"]),
    )


def check_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a state dict after checking that it holds dense tensors that are not larger than their memory.

    Raises one of `INVALID`.
    """
    claimed, held = {}, {}  # bytes; a tensor with two names counts once
    for name, tensor in state.items():
        _text("tensors", name)
        if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise InputError(f"{printable(name)} is not a tensor of numbers")
        claimed[tensor.data_ptr(), tensor.shape] = tensor.numel() * tensor.element_size()
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    if sum(claimed.values()) > sum(held.values()):
        raise InputError(f"tensors of {sum(claimed.values()):,} bytes in a file that has {sum(held.values()):,}")
    return dict(state)


def _model(options: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the network's name and options if they are plain values, not too many and not nested without end."""
    _text("the network's name", options["name"])
    waiting: list[tuple[Any, int]] = [(options, 0)]
    for count, (value, depth) in enumerate(_all_values(waiting)):
        if count > MOST_OPTIONS or depth > DEEPEST:
            raise InputError("the network has too many options")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"an option of the network is {value}")
        if isinstance(value, str):
            _text("an option of the network", value)
        elif not isinstance(value, (dict, list, tuple, int, float, type(None))):
            raise InputError(f"an option of the network is a {type(value).__name__}")
        elif isinstance(value, int) and abs(value) >= 2**63:
            raise InputError("an option of the network is too large")
    return {_text("an option's name", key): value for key, value in options.items()}


def _all_values(waiting: list[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
    """Yield the values in `waiting` and all values within them, each with its depth."""
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        if isinstance(value, (dict, list, tuple)):
            waiting += [(item, depth + 1) for item in inner]


def _filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preprocessing filters if they are those of `mnist_zoo.data.filters.apply_filters`."""
    for key, value in filters.items():
        if key == "blur":
            _whole("filters.blur", value, 0, MOST_BLURS)
        elif key == "width":
            _whole("filters.width", 1 if value is None else value, 1, LARGEST_WIDTH)
        elif key != "sharpen" or not isinstance(value, bool):
            raise InputError(f"filters.{printable(key)}={printable(value)[:LONGEST]} is not a filter")
    return dict(filters)


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{name} must be a whole number from {least} to {most:,}")
    return value


def _number(name: str, value: object, positive: bool = False) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} must be a finite number")
    if positive and value <= 0:
        raise InputError(f"{name}={value} must be above 0")
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InputError(f"{name} must be text of at most {LONGEST} characters")
    return value


def summary(error: Exception) -> str:
    """Return the most informative line of an error's message, for a one-line report.

    torch's messages often start with a heading; the first later line with a colon names the actual problem.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines[1:] if ":" in line), lines[0]) if lines else type(error).__name__
