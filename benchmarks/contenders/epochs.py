"""How a training of Lightning's is led from outside: an epoch a turn."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.turn import Turn


class Epochs(Callback):
    """Wait for the parent's word before each epoch; report one when the next begins, its validation and files done.

    Seconds are those of the training part, as in ``curves.csv``; ``whole_seconds`` those of all the epoch. There are no
    hooks on single batches: they would cost what is to be measured.
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
