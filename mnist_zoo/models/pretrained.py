"""Networks with trained weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mnist_zoo.errors import InputError, printable
from mnist_zoo.models.registry import build, list_models, parameters_of
from mnist_zoo.weights import Weights, find_pretrained, list_pretrained, read_weights
from mnist_zoo.weights.description import summary


class WeightsError(InputError):
    """Trained tensors cannot be used in the network that they are for."""


def find_weights(name: str, source: str | Path) -> Weights:
    """Return the weights that ``create_model(name, pretrained=source)`` means.

    Args:
        name: the network.
        source: the data set of shipped weights (``mnist``, ``mnist-robust``), or anything that `read_weights` accepts.

    Raises:
        InputError: if the source is neither a text nor a path, or as `find_pretrained` and `read_weights`.
    """
    if not isinstance(source, (str, Path)):
        raise InputError(
            f"pretrained={source}: it must be the path of weights, a name such as 'mnist' (mnist_zoo.list_pretrained "
            f"has all), or None for random weights"
        )
    shipped = {data for sets in list_pretrained().values() for data in sets}
    return read_weights(find_pretrained(name, str(source)) if str(source) in shipped else source)


def build_trained(weights: Weights) -> nn.Module:
    """Return the network that the weights describe, with these weights, as float32, in evaluation mode.

    Raises:
        InputError: if the network is not registered, cannot be built as described, or as `build_with`.
    """
    known = weights.description
    options = {key: value for key, value in known.model.items() if key != "name"}
    options |= {"num_classes": known.num_classes, "in_chans": known.in_chans}
    try:
        return build_with(weights, known.name, options).eval()
    except WeightsError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        cure = (
            ""
            if known.model.get("name") in list_models()
            else "; import the module that registers it (--plugin MODULE)"
        )
        raise InputError(f"{weights.path} describes a network that cannot be built: {summary(error)}{cure}") from error


def build_with(weights: Weights, name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network and copy weights into it, converted to its dtype.

    The tensors are compared with the network before memory is taken for it.

    Raises:
        InputError: if the network cannot be built with these options.
        WeightsError: if names or shapes of the tensors differ, or a tensor holds NaN or infinite values.
    """
    for key, tensor in weights.state.items():
        if not tensor.isfinite().all():
            raise WeightsError(
                f"{weights.path} holds weights that are NaN or infinite ({printable(key)}): its training diverged or "
                f"the file is damaged; use other weights"
            )
    outline = _outline(name, options)
    if outline is not None:
        _fit(weights, outline)
    model = build(name, options)
    return _fit(weights, model)


def _outline(name: str, options: Mapping[str, Any]) -> nn.Module | None:
    """Return a network without memory for its tensors; None if its constructor computes with values (some plug-ins)."""
    try:
        with torch.device("meta"):
            return build(name, options)
    except InputError as error:
        if "meta" not in str(error).lower():
            raise
        return None


def _fit(weights: Weights, model: nn.Module) -> nn.Module:
    """Copy weights into a network and return it; into a network without memory, only compare them."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of a copy into a network without memory, which does nothing
            model.load_state_dict(weights.state)
    except RuntimeError as error:
        raise WeightsError(f"{weights.path} does not fit {weights.description.name}: {summary(error)}") from error
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


def without_pretrained(model: Mapping[str, Any], num_classes: int, in_chans: int) -> dict[str, Any]:
    """Return a network's name and options without ``pretrained``, with the options that it takes from those weights.

    A network with these options can be built again where the weights do not exist.

    Raises:
        InputError: as `find_weights` and `trained_options`.
    """
    given = {key: value for key, value in model.items() if key not in ("name", "init", "pretrained")}
    if model.get("pretrained") is None:
        return dict(model)
    shape = {"num_classes": num_classes, "in_chans": in_chans}
    options = trained_options(find_weights(model["name"], model["pretrained"]), model["name"], given | shape)
    return {"name": model["name"]} | {key: value for key, value in options.items() if key not in shape}


def _lists(value: object) -> object:
    """Return a value with tuples as lists, so that values from Python and from JSON compare equal."""
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
