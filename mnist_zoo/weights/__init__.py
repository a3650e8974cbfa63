"""Trained weights: the ones shipped in this folder, and reading one's own from run folders, checkpoints and files.

Nothing that is read here can run code: checkpoints are loaded with ``weights_only=True``, and the network is built
from the plain names and numbers beside them. ``python -m results.ship RUN...`` makes the shipped files.
"""

from __future__ import annotations

import inspect
import json
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mnist_zoo.errors import InputError

FOLDER = Path(__file__).parent
DIGITS = tuple("0123456789")
_KEY = "mnist_zoo"  # of our entry in a safetensors file's metadata


@dataclass(frozen=True)
class Description:
    """What it takes to build a trained network and to feed it as it was trained.

    Attributes:
        model: ``name`` and the network's options, as `create_model` takes them.
        num_classes, in_chans: of the network.
        image_shape: ``(channels, height, width)`` of the images it was trained on.
        data: the data set it was trained on, or None if that is not known (another project's own loader).
        mean, std: of the training images as brightness 0-1; the network's input is ``(brightness - mean) / std``.
            None if they are not known.
        class_names: what to call each output, in order.
        filters: the `MNISTDataModule` filters that its images went through.
    """

    model: dict
    num_classes: int
    in_chans: int
    image_shape: tuple[int, int, int]
    data: str | None
    mean: float | None
    std: float | None
    class_names: tuple[str, ...]
    filters: dict

    @property
    def name(self) -> str:
        """The network's registered name."""
        return self.model["name"]


@dataclass(frozen=True)
class Weights:
    """A trained network's tensors by their names in its state dict, its description, and the file they are from."""

    state: dict[str, Tensor]
    description: Description
    path: Path

    def build(self) -> nn.Module:
        """Return the network with these weights, float32, in evaluation mode.

        Raises:
            InputError: if the network is not registered, or cannot be built as described.
        """
        from mnist_zoo.models import create_model

        description = self.description
        options = description.model | {"num_classes": description.num_classes, "in_chans": description.in_chans}
        try:
            model = create_model(**options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{self.path} asks for a network that cannot be built: {_line(error)}") from error
        return self.load_into(model).eval()

    def load_into(self, model: nn.Module) -> nn.Module:
        """Copy the tensors into a network of the same shape, and return it; raises InputError if they do not fit."""
        try:
            model.load_state_dict(self.state)
        except RuntimeError as error:
            raise InputError(f"{self.path} does not fit {self.description.name}: {_line(error)}") from error
        return model

    def options(self, name: str, parameters: Mapping[str, inspect.Parameter], given: dict) -> dict:
        """Return the options to build `name` with, so that these weights mean in it what they meant in training.

        Args:
            name: the network that was asked for.
            parameters: of its builder, with their defaults.
            given: options that were asked for, ``num_classes`` and ``in_chans`` among them.

        Raises:
            InputError: if the network, or an option, is another than these weights were trained in.
        """
        description = self.description
        if name != description.name:
            raise InputError(f"{self.path} holds weights of {description.name}, not of {name}")
        trained = {key: value for key, value in description.model.items() if key != "name"}
        trained |= {"num_classes": description.num_classes, "in_chans": description.in_chans}
        defaults = {key: p.default for key, p in parameters.items() if p.default is not p.empty}
        for key, value in given.items():
            before = (defaults | trained).get(key)
            if _plain(value) != _plain(before):
                raise InputError(
                    f"{name}: {key}={value}, but {self.path.name} is for {key}={before}: build it so"
                    + (", then replace model.head" if key == "num_classes" else "")
                )
        return trained | given


def list_pretrained() -> dict[str, list[str]]:
    """Return the networks that come with weights, and for each the data sets that ``pretrained=`` accepts.

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


def read_card(name: str, data: str = "mnist") -> dict:
    """Return the card of shipped weights: command, seed, accuracies (fractions), date, versions, SHA-256.

    Raises:
        InputError: if there are none; those that there are, are named.

    Example:
        >>> from mnist_zoo.weights import read_card
        >>> read_card("cnn")["seed"]
        0
    """
    return json.loads(find_pretrained(name, data).with_suffix(".json").read_text())


def find_pretrained(name: str, data: str) -> Path:
    """Return the shipped weights of a network, trained on a data set; raises InputError, naming those there are."""
    path = FOLDER / f"{name}-{data}.safetensors"
    available = list_pretrained()
    if data not in available.get(name, []):
        names = ", ".join(f"{model} ({', '.join(sets)})" for model, sets in available.items())
        raise InputError(f"no weights of {name} for {data} come with mnist_zoo; there are: {names}; or give a path")
    return path


def read_weights(source: str | Path, data: str = "mnist") -> Weights:
    """Read trained weights; nothing in the file can run.

    Args:
        source: a name with shipped weights (``lenet5``), else the path of a run folder (its best checkpoint), of a
            checkpoint of `LitClassifier`, or of a safetensors file that `export_model` wrote.
        data: of the shipped weights.

    Raises:
        InputError: if there is no such thing, or the file is damaged, holds code, or is of something else.
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
        raise InputError(f"'{source}' is no run folder, no file, and no name with weights (those are: {names})")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)


def pack(state: Mapping[str, Tensor], description: Description) -> bytes:
    """Return the safetensors file that `read_weights` reads: the tensors, and the description as its metadata."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    return save(tensors, {_KEY: json.dumps(asdict(description))})


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, "pt") as file:
            metadata = (file.metadata() or {}).get(_KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged, or no safetensors file ({_line(error)})") from error
    if metadata is None:
        raise InputError(f"{path} does not say what network it is of: write it with python -m mnist_zoo.export")
    return _parsed(path, lambda: (state, json.loads(metadata)))


def _read_checkpoint(path: Path) -> Weights:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's advice on other people's pickles
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"asks to run {asked[1]}" if asked else "is no checkpoint, or one that asks to run code"
        raise InputError(f"{path} {what}: refused, a checkpoint holds tensors, names and numbers alone") from error
    except Exception as error:  # whatever a damaged file makes torch raise
        raise InputError(f"{path} is damaged, or no checkpoint ({_line(error)})") from error
    return _parsed(path, _parse_checkpoint, checkpoint)


def _parse_checkpoint(checkpoint: dict) -> tuple[dict[str, Tensor], dict]:
    """Return the tensors and a description's fields from what LitClassifier and MNISTDataModule save."""
    prefix = "model."  # LitClassifier's attribute
    state = {key.removeprefix(prefix): t for key, t in checkpoint["state_dict"].items() if key.startswith(prefix)}
    network, data = checkpoint["hyper_parameters"], checkpoint.get("MNISTDataModule", {})
    model = {key: value for key, value in network["model"].items() if key not in ("init", "pretrained")}
    side = model.get("image_size", 28)
    names = [str(label) for label in range(network["num_classes"])]
    return state, {
        "model": model,
        "num_classes": network["num_classes"],
        "in_chans": network["in_chans"],
        "image_shape": data.get("image_shape", [network["in_chans"], side, side]),
        "data": data.get("data"),
        "mean": data.get("mean"),
        "std": data.get("std"),
        "class_names": data.get("class_names", names),
        "filters": checkpoint.get("datamodule_hyper_parameters", {}).get("filters") or {},
    }


def _parsed(path: Path, parse: Callable[..., tuple[dict[str, Tensor], dict]], *content) -> Weights:
    """Return the weights that ``parse(*content)`` finds, or raise InputError if it finds something else."""
    try:
        state, fields = parse(*content)
        fields["image_shape"] = tuple(int(size) for size in fields["image_shape"])
        fields["class_names"] = tuple(str(name) for name in fields["class_names"])
        fields["model"] = {str(key): value for key, value in fields["model"].items()}
        return Weights(state, Description(**fields), path)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not of a LitClassifier: it does not describe its network") from error


def _plain(value):
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _line(error: Exception) -> str:
    """Return the first sentence of an error's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines[1:] if ":" in line), lines[0]) if lines else type(error).__name__
