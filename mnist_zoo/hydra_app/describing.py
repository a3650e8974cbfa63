"""The network that ``python -m mnist_zoo.describe`` is asked for: a name with overrides, or a trained one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.files import write_atomically
from mnist_zoo.hydra_app.catalogue import choices
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.settings import check
from mnist_zoo.waiting import loading_torch

if TYPE_CHECKING:
    from torch import nn

    from mnist_zoo.models.layer_table import Layer

SHAPE = (1, 28, 28)
CLASSES = 10


@dataclass(frozen=True)
class Described:
    """A network and its layers.

    Attributes:
        name: of the network.
        image_shape: ``(C, H, W)`` of one image.
        classes: number of classes.
        layers: see `mnist_zoo.models.layer_table.list_layers`.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    layers: list[Layer]

    @property
    def summary(self) -> str:
        """Name, size and input in one line."""
        size = "x".join(map(str, self.image_shape))
        parameters, flops = (sum(getattr(layer, key) for layer in self.layers) for key in ("parameters", "flops"))
        return f"{self.name}: {parameters:,} parameters, {flops / 1e6:,.2f} MFLOP an image; {size} to {self.classes}"


def describe(
    source: str, overrides: Sequence[str] = (), plugins: Sequence[str] = (), image: str | None = None,
    classes: int | None = None,
) -> Described:  # fmt: skip
    """Return the layers of a network.

    Args:
        source: the name of a network, a run folder, a checkpoint, a safetensors file or a name with shipped weights.
        overrides: ``model.KEY=VALUE``, for the name of a network.
        plugins: modules that register networks.
        image: shape of its images, as ``1x28x28``, for the name of a network.
        classes: number of classes, for the name of a network.

    Raises:
        InputError: if there is no such network, it cannot be built, or an argument is invalid or does nothing here.
    """
    shape = None if image is None else parse_shape(image)
    with loading_torch(f"describe {source}"):
        known = {choice.name for choice in choices("models", plugins)}
        from mnist_zoo.models.layer_table import list_layers
        from mnist_zoo.weights.shipped import find_named
    if source in known:
        name, model, shape, count = _by_name(source, overrides, plugins, shape, CLASSES if classes is None else classes)
    elif overrides or shape or classes is not None:
        raise InputError(f"{source}: overrides, --image and --classes are for names of networks, which are not trained")
    elif not Path(source).exists() and find_named(source) is None:
        raise unknown("network, run folder or file", source, known)
    else:
        name, model, shape, count = _trained(source)
    try:
        return Described(name, shape, count, list_layers(model, shape))
    except (RuntimeError, TypeError, ValueError) as error:  # torch's, or that of a network's own check
        size = "x".join(map(str, shape))
        raise InputError(f"{name} does not take images of shape {size} ({str(error).partition(chr(10))[0]})") from error


def parse_shape(text: str) -> tuple[int, int, int]:
    """Return ``(C, H, W)`` of a text such as ``3x32x32``; raises InputError for another text."""
    if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}x[1-9]\d{0,3}", text):
        raise InputError(f"--image {text}: write channels, height and width, such as 3x32x32")
    channels, height, width = map(int, text.split("x"))
    return channels, height, width


def _by_name(
    name: str, overrides: Sequence[str], plugins: Sequence[str], shape: tuple[int, int, int] | None, classes: int
) -> tuple[str, nn.Module, tuple[int, int, int], int]:
    """Return a network with its initial weights, as the command line builds it."""
    from mnist_zoo.models.factory import create_model
    from mnist_zoo.models.layers import height_and_width
    from mnist_zoo.models.registry import fit_to_images

    for word in overrides:
        if not re.match(r"[+~]*model\.", word):
            raise InputError(f"{word}: describe takes overrides of the network only, such as model.KEY=VALUE")
    cfg = compose_config([f"model={name}", f"plugins=[{','.join(plugins)}]", *overrides])
    check(cfg)
    options: dict[str, Any] = dict(cfg["model"])
    registered = options.pop("name")
    if shape is None:
        channels, height, width = SHAPE
        if options.get("image_size") is not None:
            height, width = height_and_width(options["image_size"])
        shape = (channels, height, width)
    options = fit_to_images(registered, options, shape)
    model = create_model(registered, num_classes=classes, in_chans=shape[0], **options)
    return name, model, shape, classes


def _trained(source: str) -> tuple[str, nn.Module, tuple[int, int, int], int]:
    """Return the network of trained weights."""
    from mnist_zoo.models.pretrained import build_trained
    from mnist_zoo.weights import read_weights

    weights = read_weights(source)
    known = weights.description
    return known.name, build_trained(weights), known.image_shape, known.num_classes


def table(described: Described) -> str:
    """Return the layers as aligned text, with a heading and the totals."""
    head = ("layer", "type", "output", "parameters", "FLOPs")
    rows = [
        (
            layer.name,
            f"{layer.kind} {layer.details}".strip(),
            "-" if layer.shape is None else "x".join(map(str, layer.shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.flops:,}" if layer.flops else "",
        )
        for layer in described.layers
    ]
    totals = [f"{sum(getattr(layer, key) for layer in described.layers):,}" for key in ("parameters", "flops")]
    lines = [head, *rows, ("sum", "", "", *totals)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([described.summary, *(f"  {line}".rstrip() for line in text)])


def write_diagram(described: Described, path: str) -> None:
    """Write the diagram of a network as SVG.

    Raises:
        InputError: if the name does not end in ``.svg``, there is no such folder, or something else than a file is
            there.
        StorageError: if the file cannot be written.
    """
    from mnist_zoo.plots.diagram import draw_diagram

    if Path(path).suffix.lower() != ".svg":
        raise InputError(f"--svg {path}: the name must end in .svg")
    if not Path(path).parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {Path(path).parent}")
    write_atomically(Path(path), draw_diagram(described.summary, described.image_shape, described.layers))
