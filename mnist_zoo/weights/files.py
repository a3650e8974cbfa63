"""Reading weights from any source, and the safetensors format of the package.

A safetensors file holds the state dict. Its metadata has two entries: ``mnist_zoo``, the `Description` as JSON, and
``mnist_zoo_sha256``, the digest of tensors and description (missing in files of version 0.1.0). The shipped files have
theirs on their card.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.weights.archive import CURE
from mnist_zoo.weights.checkpoint import read_checkpoint
from mnist_zoo.weights.description import INVALID, Description, Weights, check_state, describe, summary
from mnist_zoo.weights.shipped import AUTO, check_shipped, find_named, list_pretrained

METADATA_KEY, DIGEST_KEY = "mnist_zoo", "mnist_zoo_sha256"
LARGEST_HEADER = 4 << 20  # bytes; the shipped files have less than 2,000


def read_weights(source: str | Path, data: str = "mnist") -> Weights:
    """Read trained weights. Code in the file is not executed.

    Args:
        source: a name with shipped weights (``lenet5``, ``cnn-mnist-robust``, or ``auto`` for those that read
            photographs); or the path of a run folder (its best checkpoint is read), of a checkpoint of `LitClassifier`,
            or of a safetensors file that `export_model` wrote.
        data: the training data set of shipped weights.

    Raises:
        InputError: if the source does not exist, or the file is damaged, contains code, or does not describe a network.
    """
    if (shipped := find_named(str(source), data)) is not None:
        return _read_safetensors(shipped)
    path = Path(os.path.expanduser(source))
    try:
        if path.is_dir():
            folder, path = path, path / "checkpoints" / "best.ckpt"
            if not path.is_file():
                raise InputError(
                    f"{folder} is not a run folder with a trained network (it has no checkpoints/best.ckpt; "
                    f"a classical model, such as knn, has none)"
                )
        if not path.is_file():  # a pipe or a device would wait for ever
            names = ", ".join([*list_pretrained(), AUTO])
            raise InputError(f"'{source}' is not a run folder, a file, or a name with shipped weights ({names})")
    except OSError as error:
        raise InputError(f"'{source}' cannot be read ({error.strerror})") from error
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)


def pack(state: Mapping[str, Tensor], description: Description) -> bytes:
    """Return the content of a safetensors file with a state dict, its description and the digest of both.

    `read_weights` and `unpack` read it.
    """
    from safetensors.torch import save  # here, so that importing mnist_zoo.models does not import it

    # Copies: safetensors refuses tensors that share memory, as those of layers with the same weights do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    text = json.dumps(asdict(description))
    return save(tensors, {METADATA_KEY: text, DIGEST_KEY: _digest(tensors, text)})


def unpack(content: bytes, path: Path) -> Weights:
    """Return the weights in the content of a safetensors file.

    Args:
        content: the file's bytes.
        path: its name, for messages.

    Raises:
        InputError: if the content is damaged, or does not describe a network.
    """
    from safetensors import SafetensorError  # here, as in `pack`
    from safetensors.torch import load

    try:
        metadata = _metadata(content)
        state = load(content)
    except (SafetensorError, *INVALID) as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({summary(error)}): {CURE}") from error
    try:
        text = metadata[METADATA_KEY]
        description = describe(json.loads(text))
        state = check_state(state)
    except INVALID as error:
        raise InputError(
            f"{path} does not describe its network: write it with python -m mnist_zoo.export ({summary(error)})"
        ) from error
    if metadata.get(DIGEST_KEY, digest := _digest(state, text)) != digest:
        raise InputError(f"{path} is damaged (its digest is another one): {CURE}")
    return Weights(state, description, path)


def _read_safetensors(path: Path) -> Weights:
    """Return the weights in a safetensors file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    check_shipped(path, content)
    return unpack(content, path)


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in a safetensors file's header, which is JSON of a limited length."""
    length = int.from_bytes(content[:8], "little")
    if length > LARGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    return dict(json.loads(content[8 : 8 + length]).get("__metadata__", {}))


def _digest(state: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 of a description and of the names, dtypes, shapes and bytes of tensors."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
