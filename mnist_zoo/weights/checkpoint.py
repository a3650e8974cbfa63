"""Reading the checkpoints that Lightning writes for `LitClassifier` and `MNISTDataModule`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.weights.archive import read_archive
from mnist_zoo.weights.description import INVALID, Weights, check_state, describe, summary

PREFIX = "model."  # LitClassifier keeps its network in the attribute `model`
DATA_STATE = {"data", "image_shape", "mean", "std", "class_names"}  # what MNISTDataModule.state_dict has
IMAGE_SIZE = 28  # pixels; the default of every network


def read_checkpoint(path: Path) -> Weights:
    """Return the weights in a checkpoint. Code in the file is not executed.

    Raises:
        InputError: if the file is damaged, contains code, or was not written by `LitClassifier`.
    """
    checkpoint = read_archive(path)
    try:
        state, fields = _parse(checkpoint)
        return Weights(check_state(state), describe(fields), path)
    except INVALID as error:
        raise InputError(
            f"{path} does not describe its network: it was not written by LitClassifier ({summary(error)})"
        ) from error


def _parse(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the network's state dict and the fields of its `Description`."""
    state = {
        key.removeprefix(PREFIX): tensor for key, tensor in checkpoint["state_dict"].items() if key.startswith(PREFIX)
    }
    network = checkpoint["hyper_parameters"]
    num_classes, in_chans = network["num_classes"], network["in_chans"]
    # `init` and `pretrained` choose the weights at the start of training; the trained weights replace them.
    model = {key: value for key, value in network["model"].items() if key not in ("init", "pretrained")}
    size = model.get("image_size", IMAGE_SIZE)
    sides = size if isinstance(size, (list, tuple)) else [size, size]
    # Lightning files the state of a DataModule under the name of its class, which may be a subclass of ours. There is
    # none if the network was trained with another loader.
    own = (value for value in checkpoint.values() if isinstance(value, Mapping) and value.keys() >= DATA_STATE)
    data = checkpoint.get("MNISTDataModule") or next(own, {})
    return state, {
        "model": model,
        "num_classes": num_classes,
        "in_chans": in_chans,
        "image_shape": data.get("image_shape", [in_chans, *sides]),
        "data": data.get("data"),
        "mean": data.get("mean"),
        "std": data.get("std"),
        "class_names": data.get("class_names"),
        "filters": checkpoint.get("datamodule_hyper_parameters", {}).get("filters") or {},
    }
