"""Trained weights in memory: tensors, and the description of the network and of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


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


# What `describe` raises for fields of a file that was not written by this package.
INVALID = (LookupError, TypeError, ValueError, AttributeError)


def describe(fields: Mapping[str, Any]) -> Description:
    """Return a description from the fields of a file; lists become tuples. Raises one of `INVALID`."""
    channels, height, width = (int(size) for size in fields["image_shape"])
    converted = {
        "image_shape": (channels, height, width),
        "class_names": tuple(str(name) for name in fields["class_names"]),
        "model": {str(key): value for key, value in fields["model"].items()},
    }
    return Description(**{**fields, **converted})


def summary(error: Exception) -> str:
    """Return the most informative line of an error's message, for a one-line report.

    torch's messages often start with a heading; the first later line with a colon names the actual problem.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines[1:] if ":" in line), lines[0]) if lines else type(error).__name__
