"""Writing the page on which users draw a digit, with the networks in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from mnist_zoo import __version__
from mnist_zoo.errors import InputError, printable
from mnist_zoo.files import require_regular, write_atomically
from mnist_zoo.inference.drawing.steps import trace
from mnist_zoo.inference.export import default_name
from mnist_zoo.inference.predict import check_digits
from mnist_zoo.inference.rejection import find_threshold
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import Weights, read_weights

LARGEST = 2_000_000  # bytes of a page
BYTES_A_NUMBER = 8 / 3  # float16 as base64
ROOM = 100_000  # bytes of a page without its networks, at most
SCRIPTS = ("network.js", "digitise.js", "page.js")


def write_page(sources: Sequence[str | Path], path: str | Path) -> int:
    """Write one HTML file on which users draw a digit and see what trained networks make of it.

    The page needs no network connection: its weights (float16) and its forward pass, in JavaScript, are in it. It
    converts the drawing as `mnist_zoo.inference.digitise.digitise` does.

    Args:
        sources: the networks, each as for `predict_images`.
        path: the file, whose name ends in ``.html``; an existing one is replaced.

    Returns:
        Its size, bytes.

    Raises:
        InputError: if a network does not exist, was not trained on 28x28 digits, has a layer that the page cannot run
            (the message names it), if the page would have more than 2 MB, or if it would replace weights that it reads.
        StorageError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> from mnist_zoo.inference.drawing.page import write_page
        >>> write_page(["lenet5"], Path(tempfile.mkdtemp()) / "draw.html") < 250_000
        True
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"cannot write {path}: the name must end in .html")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    target = require_regular(path)
    networks = [read_weights(source) for source in sources]
    names = _names(networks)
    for weights, name in zip(networks, names, strict=True):
        if weights.path.resolve() == target:
            raise InputError(f"cannot write {path}: it is one of the files to read; choose another name")
        _check(weights, name)
    _check_size(names, [_numbers(weights) for weights in networks])
    page = _render([_record(weights, name) for weights, name in zip(networks, names, strict=True)]).encode()
    if len(page) > LARGEST:
        raise _too_large(names, [_numbers(weights) for weights in networks])
    write_atomically(path, page)
    return len(page)


def _names(networks: Sequence[Weights]) -> list[str]:
    """Return a name for each network; those that would be equal get numbers."""
    names = [default_name(weights.path) for weights in networks]
    return [
        name if names.count(name) == 1 else f"{name} ({1 + names[:index].count(name)})"
        for index, name in enumerate(names)
    ]


def _check(weights: Weights, name: str) -> None:
    """Raise InputError if the page cannot prepare images for a network."""
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were normalised (no MNISTDataModule)")
    if any(known.filters.values()):
        raise InputError(f"{name} was trained on filtered images ({known.filters}), and the page has no filters")
    try:
        check_digits(known)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _numbers(weights: Weights) -> int:
    return sum(tensor.numel() for tensor in weights.state.values())


def _check_size(names: Sequence[str], numbers: Sequence[int]) -> None:
    """Raise InputError if networks are too large for one page, before time is spent on them."""
    if sum(numbers) * BYTES_A_NUMBER > LARGEST - ROOM:
        raise _too_large(names, numbers)


def _too_large(names: Sequence[str], numbers: Sequence[int]) -> InputError:
    sizes = ", ".join(
        f"{name} {count * BYTES_A_NUMBER / 1e6:.2f} MB" for name, count in zip(names, numbers, strict=True)
    )
    return InputError(
        f"too large for a page of {LARGEST / 1e6:g} MB, {ROOM / 1e6:g} MB of which are its program: {sizes}; leave "
        f"networks out, or choose smaller ones"
    )


def _record(weights: Weights, name: str) -> dict[str, Any]:
    """Return what the page needs to know of a network."""
    known, model = weights.description, build_trained(weights).requires_grad_(False)
    count = sum(parameter.numel() for parameter in model.parameters())
    return {
        "name": name,
        "about": f"{known.name}, {count:,} parameters, trained on {known.data}",
        "classes": known.class_names,
        "mean": known.mean,
        "std": known.std,
        "threshold": find_threshold(weights),
        **trace(model, known.image_shape, name),
    }


def _render(records: Sequence[dict[str, Any]]) -> str:
    folder = resources.files("mnist_zoo.inference.drawing") / "templates"
    script = '"use strict";\n' + "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    style = (folder / "page.css").read_text("utf-8")
    template = Environment(
        loader=PackageLoader("mnist_zoo.inference.drawing"), autoescape=True, keep_trailing_newline=True
    ).get_template("page.html.j2")
    return template.render(
        names=[printable(record["name"]) for record in records],
        data=json.dumps(records, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
        version=__version__,
    )


def _hash(text: str) -> str:
    """Return the hash of an inline script or style, as a content-security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
