"""``python -m results ship RUN...``: make the weights that come with the package from finished runs.

Each run becomes ``<model>-<data>.safetensors`` and a card of the same name, ``.json``. Weights are stored as float16
if that does not lower the validation accuracy. The accuracies on the card are those of the stored weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.errors import InputError
from mnist_zoo.files import to_json, write_atomically
from mnist_zoo.inference.rejection import threshold_of
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.runs import read_config, read_metrics, read_overrides
from mnist_zoo.weights import Weights, pack, read_weights, unpack

LARGEST = 1_000_000  # bytes of one file, so that the package stays small
# Overrides that say where and how a run was made, but do not change its result.
_NEUTRAL = ("output_dir=", "sweep=", "progress=", "debug=", "logger=", "data.root=", "hydra.")


def ship(run: Path, data_root: str, folder: Path, variant: str = "") -> dict[str, Any]:
    """Write a run's weights and their card to a folder, and return the card.

    Args:
        run: a finished run folder.
        data_root: folder of the data set's files.
        folder: to write to.
        variant: a word for a special way of training, added to the file's name.

    Raises:
        InputError: if the run is not finished, its images are not those in `data_root`, or the file is too large.
    """
    metrics, weights = read_metrics(run), read_weights(run)
    if metrics is None:
        raise InputError(f"{run} is not a finished run folder (it has no metrics.json)")
    data = _data(run, metrics, data_root)
    state, val_acc = _smallest(weights, data)
    stored = build_trained(replace(weights, state=state))
    content = pack(state, replace(weights.description, data=metrics["data"]))
    path = folder / f"{'-'.join(filter(None, (metrics['model'], metrics['data'], variant)))}.safetensors"
    if len(content) > LARGEST:
        raise InputError(f"{path.name} would have {len(content):,} bytes; {LARGEST:,} is the most that is shipped")
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "dtype": str(next(t.dtype for t in state.values() if t.is_floating_point())).removeprefix("torch."),
        "model": metrics["model"],
        "num_params": metrics["num_params"],
        "command": command(run),
        "seed": metrics["seed"],
        "best_epoch": metrics["best_epoch"],
        "epochs": metrics["epochs"],
        "data": metrics["data"],
        "data_fingerprint": metrics["data_fingerprint"],
        "mean": data.mean,
        "std": data.std,
        "n_val": metrics["n_val"],
        "n_test": metrics["n_test"],
        "val_acc": val_acc,
        "not_a_digit_below": threshold(stored, data),
        "test_acc": accuracy(stored, data, "test"),
        "test_acc_float32": accuracy(build_trained(weights), data, "test"),
        "trained": metrics["date"],
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": metrics["device"],
        "versions": metrics["versions"],
    }
    write_atomically(path, content)
    write_atomically(path.with_suffix(".json"), to_json(card))
    return card


def _data(run: Path, metrics: dict[str, Any], data_root: str) -> MNISTDataModule:
    """Return the run's data; raises InputError if the images in `data_root` are not those it was trained on."""
    cfg: Any = OmegaConf.to_container(OmegaConf.create(read_config(run)), resolve=True)
    if not cfg.get("data"):
        raise InputError(f"{run} does not say how its images were split (.hydra/config.yaml): it cannot be shipped")
    cfg["data"]["name"] = metrics["data"]  # another one than in the config if the run fell back to it
    data = load_data(cfg, root=data_root, fallback=None)
    if data.fingerprint != metrics["data_fingerprint"]:
        raise InputError(f"{run} was trained on other images than the {data.name} in {data_root}: give its --data-root")
    return data


def _smallest(weights: Weights, data: MNISTDataModule) -> tuple[dict[str, Tensor], float]:
    """Return the tensors to store, float16 unless that lowers validation accuracy, and their validation accuracy."""
    half = {name: t.half() if t.is_floating_point() else t for name, t in weights.state.items()}
    rounded = accuracy(build_trained(replace(weights, state=half)), data, "val")
    exact = accuracy(build_trained(weights), data, "val")
    return (half, rounded) if rounded >= exact else (weights.state, exact)


def accuracy(model: nn.Module, data: MNISTDataModule, split: str) -> float:
    """Return a network's accuracy, a fraction, on ``train``, ``val`` or ``test``."""
    with torch.inference_mode():
        correct = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in data.eval_dataloader(split))
    return correct / len(data.labels(split))


def threshold(model: nn.Module, data: MNISTDataModule) -> float:
    """Return the score below which an image is "not a digit?"; 2 % of the validation images are."""
    with torch.inference_mode():
        return threshold_of(torch.cat([model(images) for images, _ in data.eval_dataloader("val")]))


def write_thresholds(data_root: str, folder: Path) -> dict[str, float]:
    """Measure the threshold of all weights in a folder on the default validation split, and write it on their cards.

    Raises:
        InputError: if the images in `data_root` are not those that the weights were trained on.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        card = json.loads(path.read_text())
        data = MNISTDataModule(card["data"], root=data_root, fallback=None)
        if data.fingerprint != card["data_fingerprint"]:
            raise InputError(f"{card['file']} was trained on other images than the {data.name} in {data_root}")
        model = build_trained(unpack(path.with_suffix(".safetensors").read_bytes(), path))
        found[card["file"]] = threshold(model, data)
        accuracies = {key: card.pop(key) for key in list(card)[list(card).index("test_acc") :]}
        card["not_a_digit_below"] = found[card["file"]]
        write_atomically(path, to_json(card | accuracies))
    return found


def command(run: Path) -> str:
    """Return the command that repeats a run, without the paths of the machine where it was made."""
    overrides = sorted(override for override in read_overrides(run) if not override.startswith(_NEUTRAL))
    return " ".join(["python -m mnist_zoo", *overrides])
