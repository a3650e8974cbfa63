"""Random numbers of dropout and augmentation that do not depend on interruptions."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from mnist_zoo.data.batches import mix


class EpochSeed(Callback):
    """Seeds torch at the start of each epoch from (seed, epoch, process).

    Dropout then draws the same numbers in epoch 5, whether training ran through or was resumed there. A run that is
    resumed within an epoch continues with the states of the random number generators at that step.
    """

    accepts_lists = True  # for mnist_zoo.speed.several_steps

    def __init__(self, seed: int):
        self.seed = seed
        self._resumed: dict[str, Any] | None = None  # states to continue with, unless an epoch starts first

    def state_dict(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._resumed = None
        torch.manual_seed(mix(self.seed, trainer.current_epoch, trainer.global_rank))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._resumed is not None:
            torch.set_rng_state(self._resumed["cpu"].cpu())
            if self._resumed["cuda"] is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state(self._resumed["cuda"].cpu())
            self._resumed = None
