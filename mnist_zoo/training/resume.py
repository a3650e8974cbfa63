"""Resuming a run: which checkpoint, and what has to be adapted in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.errors import InputError
from mnist_zoo.internals import agree_on_steps, loader_state
from mnist_zoo.models.pretrained import without_pretrained
from mnist_zoo.runs import RunFolder
from mnist_zoo.speed.several_steps import BatchLists
from mnist_zoo.weights import read_archive

IMAGES_PER_LIST = 2048  # of version 0.1.0


def checkpoint_to_resume(model: Mapping[str, Any], folder: RunFolder) -> Path | None:
    """Return the newest readable checkpoint of a run folder; None if the run must start from the beginning.

    Args:
        model: ``name`` and options of the network that is to be trained, as `LitClassifier` saves them.
        folder: the run folder.

    Raises:
        InputError: if the checkpoint is of another network.
    """
    best, last = folder.best_checkpoint, folder.last_checkpoint
    # If the last epoch is the best, both names are one file. That epoch is then repeated from previous.ckpt.
    one_file = best.exists() and last.exists() and best.samefile(last)
    if best.exists() and not one_file and _read(best) is None:
        warnings.warn(f"{best} cannot be read: the best epoch so far is lost; the run starts again", stacklevel=2)
        return None
    for path in (last, folder.previous_checkpoint):
        if not path.exists():
            continue
        saved = _read(path)
        if saved is None:
            warnings.warn(f"{path} cannot be read; trying the checkpoint before it", stacklevel=2)
            continue
        asked = saved["hyper_parameters"]
        if without_pretrained(asked["model"], asked["num_classes"], asked["in_chans"]) != model:
            raise InputError(
                f"{path} is of model {saved['hyper_parameters']['model']}, and {model} was asked for: start a new run"
            )
        return path
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None for a damaged file."""
    try:
        return read_archive(path)
    except InputError:
        return None


class Resume(Callback):
    """Adapts a checkpoint to the run that resumes it.

    A run may be resumed with other optimisations (``speed=...``), and checkpoints of version 0.1.0 hold the position
    within the epoch and the epoch's metrics elsewhere.
    """

    def __init__(self) -> None:
        self._items = 0  # batches, or lists of batches, of the epoch within which the checkpoint was saved

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        agree_on_steps(checkpoint)
        position = checkpoint["MNISTDataModule"].get("position") or _old_position(trainer, checkpoint)
        if position["batch"]:
            self._items = position["of"]
        if "epoch_outputs" in checkpoint:  # of 0.1.0: logits and labels of the epoch so far
            assert isinstance(pl_module, LitClassifier)
            pl_module.train_metrics.update(*checkpoint["epoch_outputs"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._items not in (0, trainer.num_training_batches):
            raise InputError(
                f"the checkpoint was saved within an epoch of {self._items} items (batches, or lists of batches), and "
                f"an epoch has {trainer.num_training_batches} here: resume with the devices, callbacks and speed "
                f"setting that the run had, or start a new run"
            )


def _old_position(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> dict[str, int]:
    """Return the position within the epoch that a checkpoint of 0.1.0 holds, and give it to the DataModule."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # missing from Lightning's annotations
    state = loader_state(checkpoint) or {"position": 0, "batches": 0}
    loader = data.train_dataloader()
    batches = loader.batches if isinstance(loader, BatchLists) else loader
    grouped = state["batches"] != len(batches)
    per_item = max(1, IMAGES_PER_LIST // data.batch_size) if grouped else 1
    position = {"batch": state["position"] * per_item, "of": state["batches"]}
    data.load_state_dict({"position": position})
    return position
