"""Reading the checkpoints that Lightning writes for `LitClassifier` and `MNISTDataModule`."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.weights.description import INVALID, Weights, describe, summary

PREFIX = "model."  # LitClassifier keeps its network in the attribute `model`
IMAGE_SIZE = 28  # pixels; the default of every network


def read_checkpoint(path: Path) -> Weights:
    """Return the weights in a checkpoint. Code in the file is not executed.

    Raises:
        InputError: if the file is damaged, contains code, or was not written by `LitClassifier`.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns about pickles of other programs
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        problem = f"asks to run {found[1]}" if found else "is not a checkpoint, or asks to run code"
        raise InputError(f"{path} {problem}: refused; a checkpoint may hold tensors, names and numbers only") from error
    except Exception as error:  # torch.load raises errors of many types for damaged files
        raise InputError(f"{path} is damaged or not a checkpoint ({summary(error)})") from error
    try:
        state, fields = _parse(checkpoint)
        return Weights(state, describe(fields), path)
    except INVALID as error:
        raise InputError(f"{path} does not describe its network: it was not written by LitClassifier") from error


def _parse(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the network's state dict and the fields of its `Description`."""
    state = {
        key.removeprefix(PREFIX): tensor for key, tensor in checkpoint["state_dict"].items() if key.startswith(PREFIX)
    }
    network = checkpoint["hyper_parameters"]
    num_classes, in_chans = network["num_classes"], network["in_chans"]
    # `init` and `pretrained` choose the weights at the start of training; the trained weights replace them.
    model = {key: value for key, value in network["model"].items() if key not in ("init", "pretrained")}
    side = model.get("image_size", IMAGE_SIZE)
    data = checkpoint.get("MNISTDataModule", {})  # absent if the network was trained with another loader
    return state, {
        "model": model,
        "num_classes": num_classes,
        "in_chans": in_chans,
        "image_shape": data.get("image_shape", [in_chans, side, side]),
        "data": data.get("data"),
        "mean": data.get("mean"),
        "std": data.get("std"),
        "class_names": data.get("class_names", range(num_classes)),
        "filters": checkpoint.get("datamodule_hyper_parameters", {}).get("filters") or {},
    }
