"""The weights that are shipped with the package: files ``<model>-<data>.safetensors``, each with a card ``.json``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mnist_zoo.errors import InputError

FOLDER = Path(__file__).parent


def list_pretrained() -> dict[str, list[str]]:
    """Return the networks with shipped weights, and for each network the data sets that it was trained on.

    Example:
        >>> from mnist_zoo import list_pretrained
        >>> list_pretrained()["lenet5"]
        ['mnist']
    """
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("*.safetensors")):
        model, _, data = path.stem.rpartition("-")
        found.setdefault(model, []).append(data)
    return found


def find_pretrained(name: str, data: str) -> Path:
    """Return the file of shipped weights of the network `name`, trained on `data`.

    Raises:
        InputError: if there is no such file; the message lists the existing ones.
    """
    available = list_pretrained()
    if data not in available.get(name, []):
        names = ", ".join(f"{model} ({', '.join(sets)})" for model, sets in available.items())
        raise InputError(f"no weights of {name} for {data} come with mnist_zoo; available: {names}; or give a path")
    return FOLDER / f"{name}-{data}.safetensors"


def read_card(name: str, data: str = "mnist") -> dict[str, Any]:
    """Return the card of shipped weights: command, seed, accuracies (fractions), date, versions, SHA-256 and more.

    Raises:
        InputError: if there are no such weights; the message lists the existing ones.

    Example:
        >>> from mnist_zoo.weights import read_card
        >>> read_card("cnn")["seed"]
        0
    """
    return json.loads(find_pretrained(name, data).with_suffix(".json").read_text())


def check_shipped(path: Path, content: bytes) -> None:
    """Compare a file with its card, if it is one of those that come with the package.

    Raises:
        InputError: if the SHA-256 of its content is not the one on its card, or the card cannot be read.
    """
    if path.resolve().parent != FOLDER.resolve():
        return
    try:
        expected = json.loads(path.with_suffix(".json").read_text())["sha256"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"the card of {path} cannot be read: install mnist_zoo again") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"{path} is not the file that its card describes: install mnist_zoo again")
