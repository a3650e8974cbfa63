"""Networks with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mnist_zoo.errors import InputError
from mnist_zoo.models.registry import build, parameters_of
from mnist_zoo.weights import Weights, find_pretrained, list_pretrained, read_weights
from mnist_zoo.weights.description import summary


def find_weights(name: str, source: str | Path) -> Weights:
    """Return the weights that ``create_model(name, pretrained=source)`` means.

    Args:
        name: the network.
        source: the data set of shipped weights (``mnist``), or anything that `read_weights` accepts.

    Raises:
        InputError: as `find_pretrained` and `read_weights`.
    """
    shipped = {data for sets in list_pretrained().values() for data in sets}
    return read_weights(find_pretrained(name, str(source)) if str(source) in shipped else source)


def build_trained(weights: Weights) -> nn.Module:
    """Return the network that the weights describe, with these weights, as float32, in evaluation mode.

    Raises:
        InputError: if the network is not registered, cannot be built as described, or has other tensors.
    """
    known = weights.description
    try:
        options = {key: value for key, value in known.model.items() if key != "name"}
        model = build(known.name, options | {"num_classes": known.num_classes, "in_chans": known.in_chans})
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{weights.path} describes a network that cannot be built: {summary(error)}") from error
    return load_weights(weights, model).eval()


def load_weights(weights: Weights, model: nn.Module) -> nn.Module:
    """Copy weights into a network, converted to its dtype, and return the network.

    Raises:
        InputError: if names or shapes of the tensors differ.
    """
    try:
        model.load_state_dict(weights.state)
    except RuntimeError as error:
        raise InputError(f"{weights.path} does not fit {weights.description.name}: {summary(error)}") from error
    return model


def trained_options(weights: Weights, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the network must be built with to use the weights.

    Args:
        weights: the trained weights.
        name: the requested network.
        given: the requested options, ``num_classes`` and ``in_chans`` among them.

    Raises:
        InputError: if the weights belong to another network, or a given option differs from the trained one.
    """
    known = weights.description
    if name != known.name:
        raise InputError(f"{weights.path} holds weights of {known.name}, not of {name}")
    trained = {key: value for key, value in known.model.items() if key != "name"}
    trained |= {"num_classes": known.num_classes, "in_chans": known.in_chans}
    defaults = {key: p.default for key, p in parameters_of(name).items() if p.default is not p.empty}
    for key, value in given.items():
        expected = (defaults | trained).get(key)
        if _lists(value) != _lists(expected):
            cure = ", then replace model.head" if key == "num_classes" else ""
            raise InputError(
                f"{name}: {key}={value}, but {weights.path.name} is for {key}={expected}: use {key}={expected}{cure}"
            )
    return trained | dict(given)


def _lists(value: object) -> object:
    """Return a value with tuples as lists, so that values from Python and from JSON compare equal."""
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
