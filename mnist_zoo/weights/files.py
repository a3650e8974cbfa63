"""Reading weights from any source, and the safetensors format of the package.

A safetensors file holds the state dict. Its metadata has one entry, ``mnist_zoo``: the `Description` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.weights.checkpoint import read_checkpoint
from mnist_zoo.weights.description import INVALID, Description, Weights, describe, summary
from mnist_zoo.weights.shipped import find_pretrained, list_pretrained

METADATA_KEY = "mnist_zoo"


def read_weights(source: str | Path, data: str = "mnist") -> Weights:
    """Read trained weights. Code in the file is not executed.

    Args:
        source: a name with shipped weights (``lenet5``); or the path of a run folder (its best checkpoint is read), of
            a checkpoint of `LitClassifier`, or of a safetensors file that `export_model` wrote.
        data: the training data set of shipped weights.

    Raises:
        InputError: if the source does not exist, or the file is damaged, contains code, or does not describe a network.
    """
    if str(source) in list_pretrained():
        return _read_safetensors(find_pretrained(str(source), data))
    path = Path(source).expanduser()
    if path.is_dir():
        folder, path = path, path / "checkpoints" / "best.ckpt"
        if not path.is_file():
            raise InputError(f"{folder} is not a run folder with a trained network (it has no checkpoints/best.ckpt)")
    if not path.is_file():
        names = ", ".join(list_pretrained())
        raise InputError(f"'{source}' is not a run folder, a file, or a name with shipped weights ({names})")
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)


def pack(state: Mapping[str, Tensor], description: Description) -> bytes:
    """Return the content of a safetensors file with a state dict and its description; `read_weights` reads it."""
    from safetensors.torch import save  # here, so that importing mnist_zoo.models does not import it

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    return save(tensors, {METADATA_KEY: json.dumps(asdict(description))})


def _read_safetensors(path: Path) -> Weights:
    """Return the weights in a safetensors file."""
    from safetensors import SafetensorError, safe_open  # here, as in `pack`

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({summary(error)})") from error
    try:
        return Weights(state, describe(json.loads(metadata[METADATA_KEY])), path)
    except INVALID as error:
        raise InputError(f"{path} does not describe its network: write it with python -m mnist_zoo.export") from error
