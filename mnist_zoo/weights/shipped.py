"""The weights that are shipped with the package: files ``<model>-<data>.safetensors``, each with a card ``.json``.

Weights that were trained in a special way have a word for it after the data set: ``cnn-mnist-robust``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mnist_zoo.errors import InputError

FOLDER = Path(__file__).parent
AUTO = "auto"
PHOTOS = "cnn-mnist-robust"  # the weights for photographs, which `auto` means


def list_pretrained() -> dict[str, list[str]]:
    """Return the networks with shipped weights, and for each network what `create_model` takes as ``pretrained``.

    ``mnist`` is the data set that it was trained on; ``mnist-robust`` was trained with ``experiment=photo``.

    Example:
        >>> from mnist_zoo import list_pretrained
        >>> list_pretrained()["lenet5"]
        ['mnist']
    """
    found: dict[str, list[str]] = {}
    for name in sorted(path.stem for path in FOLDER.glob("*.safetensors")):
        model, _, data = name.partition("-")
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


def find_named(name: str, data: str = "mnist") -> Path | None:
    """Return the file of shipped weights that a name means, or None.

    Args:
        name: a network (``cnn``), a file without its suffix (``cnn-mnist-robust``), or ``auto``.
        data: the weights of a network.
    """
    available = list_pretrained()
    if name in available:
        return find_pretrained(name, data)
    model, _, data = (PHOTOS if name == AUTO else name).partition("-")
    return find_pretrained(model, data) if data in available.get(model, []) else None


def read_card(name: str, data: str = "mnist") -> dict[str, Any]:
    """Return the card of shipped weights: command, seed, accuracies (fractions), date, versions, SHA-256 and more.

    Raises:
        InputError: if there are no such weights; the message lists the existing ones.

    Example:
        >>> from mnist_zoo.weights import read_card
        >>> read_card("cnn")["seed"]
        0
    """
    return read_shipped_card(find_pretrained(name, data))


def read_shipped_card(path: Path) -> dict[str, Any]:
    """Return the card of shipped weights in the file `path`.

    Raises:
        InputError: if the card cannot be read, or lacks the checksum or the threshold of "not a digit?".
    """
    try:
        card = json.loads(path.with_suffix(".json").read_text())
        if isinstance(card["sha256"], str) and isinstance(card["not_a_digit_below"], float):
            return card
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise InputError(f"the card of {path} cannot be read: install mnist_zoo again")


def check_shipped(path: Path, content: bytes) -> None:
    """Compare a file with its card, if it is one of those that come with the package.

    Raises:
        InputError: if the SHA-256 of its content is not the one on its card, or the card cannot be read.
    """
    if path.resolve().parent != FOLDER.resolve():
        return
    expected = read_shipped_card(path)["sha256"]
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"{path} is not the file that its card describes: install mnist_zoo again")
