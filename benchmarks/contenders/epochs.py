"""How a training with Lightning is controlled by the parent: one epoch each turn."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.turn import Turn


class Epochs(Callback):
    """Wait for the parent before each epoch, and report an epoch when the next one begins.

    By then the epoch's validation and checkpoint are done. Its seconds are those of the training part, as in
    ``curves.csv``, and ``whole_seconds`` those of the whole epoch. There are no hooks for single batches: they would
    cost time and prevent the optimisation of several steps in a call.

    Args:
        turn: the parent's word.
        images: returns how many images an epoch trains on.
    """

    def __init__(self, turn: Turn, images: Callable[[pl.Trainer], int]):
        self._turn, self._images = turn, images
        self._trained: tuple[float, float] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._trained is not None:
            self._turn.report(self._images(trainer), self._trained)
        self._turn.wait()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._trained = self._turn.lap()


def training_images(trainer: pl.Trainer) -> int:
    """Return how many images this library's DataModule trains on in an epoch."""
    return len(trainer.datamodule.labels("train"))  # type: ignore[attr-defined]  # set by Trainer.fit
