"""``python -m results.ship RUN...``: turn run folders into the weights that come with the package.

Each run becomes ``<model>-<data>.safetensors`` and a card of the same name, ``.json``. Weights are stored as float16
where that costs no validation accuracy, and every accuracy on the card is of the values as stored.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.runs import read_metrics, to_json, write_atomically
from mnist_zoo.weights import FOLDER

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mnist_zoo.data import MNISTDataModule
    from mnist_zoo.weights import Weights

LARGEST = 1_000_000  # bytes of one file: the package stays small
# Overrides that say where and how a run was made, not what it is.
_PLACES = ("output_dir=", "sweep=", "progress=", "debug=", "logger=", "data.root=", "hydra.")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m results.ship``."""
    parser = argparse.ArgumentParser(prog="python -m results.ship", description=__doc__.split(": ", 1)[1])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="finished run folders")
    parser.add_argument("--data-root", default="data", metavar="DIR", help="where the data set's files are (data)")
    parser.add_argument("--to", default=str(FOLDER), metavar="DIR", help="write here (the package)")
    options = parser.parse_args(arguments)
    try:
        for run in options.runs:
            if read_metrics(run) is None:
                raise InputError(f"{run} is not a finished run folder (it has no metrics.json)")
        for run in options.runs:
            card = ship(Path(run), options.data_root, Path(options.to))
            print(
                f"{card['file']}: {card['bytes']:,} bytes, {card['dtype']}, validation {card['val_acc']:.4f}, "
                f"test {card['test_acc']:.4f} ({card['test_acc_float32']:.4f} as trained)",
                flush=True,
            )
    except (ZooError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def ship(run: Path, data_root: str, folder: Path) -> dict:
    """Write a run's weights and their card into a folder, and return the card.

    Raises:
        InputError: if the run's data are not those at `data_root`, or the file would be too large.
    """
    import torch

    from mnist_zoo.data import MNISTDataModule
    from mnist_zoo.models.pretrained import build_trained
    from mnist_zoo.weights import pack, read_weights

    metrics, weights = read_metrics(run), read_weights(run)
    settings = torch.load(weights.path, map_location="cpu", weights_only=True)["datamodule_hyper_parameters"]
    data = MNISTDataModule(**settings | {"data": metrics["data"], "root": data_root, "fallback": None})
    if data.fingerprint != metrics["data_fingerprint"]:
        raise InputError(f"{run} was trained on other images than the {data.name} in {data_root}: give its --data-root")

    state, val_acc = _smallest(weights, data)
    stored = build_trained(replace(weights, state=state))
    content = pack(state, replace(weights.description, data=metrics["data"]))
    path = folder / f"{metrics['model']}-{metrics['data']}.safetensors"
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


def _smallest(weights: Weights, data: MNISTDataModule) -> tuple[dict[str, Tensor], float]:
    """Return the tensors to store, float16 unless that costs validation accuracy, and their validation accuracy."""
    from mnist_zoo.models.pretrained import build_trained

    half = {name: t.half() if t.is_floating_point() else t for name, t in weights.state.items()}
    rounded = accuracy(build_trained(replace(weights, state=half)), data, "val")
    exact = accuracy(build_trained(weights), data, "val")
    return (half, rounded) if rounded >= exact else (weights.state, exact)


def accuracy(model: nn.Module, data: MNISTDataModule, split: str) -> float:
    """Return a network's accuracy, a fraction, on ``train``, ``val`` or ``test``."""
    import torch

    with torch.inference_mode():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in data.eval_dataloader(split))
    return right / len(data.labels(split))


def command(run: Path) -> str:
    """Return the command that makes a run again, without the places of the machine where it was made."""
    from omegaconf import OmegaConf

    overrides = OmegaConf.load(run / ".hydra" / "overrides.yaml")
    return " ".join(["python -m mnist_zoo", *sorted(o for o in overrides if not o.startswith(_PLACES))])


if __name__ == "__main__":
    main()
