"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMA(Callback):
    """Averages the weights after every optimizer step; the average is validated, saved as best, tested and exported.

    Batch norm's statistics are averaged as well; integers, such as counters, are copied. The average lies on the device
    that trains, and steps are counted on the host, so that no step waits for the device.

    A checkpoint holds the average as ``state_dict``, and the weights that are trained as ``current_model_state``. From
    a checkpoint without an average, averaging starts with its weights.

    Args:
        decay: largest decay. After n steps it is ``min(decay, (1 + n) / (10 + n))`` (An et al. 2020), so that the
            random initial weights soon lose their influence.
    """

    def __init__(self, decay: float):
        self.decay, self.steps = decay, 0
        self._trained: dict[str, Tensor] = {}  # by name; they share the memory of the module
        self._average: dict[str, Tensor] = {}
        self._global_step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._average, self.steps = {}, 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the module's weights, or from the average of a checkpoint. The module is on its device by now."""
        self._trained = pl_module.state_dict()
        self._average = {
            name: self._average.get(name, value).to(value, copy=True) for name, value in self._trained.items()
        }

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._global_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step > self._global_step:  # with accumulated gradients not every batch makes a step
            self._global_step = trainer.global_step
            self._update()

    def _update(self) -> None:
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0
        averaged = [name for name, value in self._average.items() if value.is_floating_point()]
        average, trained = ([values[name] for name in averaged] for values in (self._average, self._trained))
        get_ema_multi_avg_fn(decay)(average, trained, self.steps)
        for name in self._average.keys() - averaged:
            self._average[name].copy_(self._trained[name])
        self.steps += 1

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def _swap(self) -> None:
        for name, average in self._average.items():
            kept = average.clone()
            average.copy_(self._trained[name])
            self._trained[name].copy_(kept)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, average in self._average.items():
            self._trained[name].copy_(average)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._average:
            checkpoint["current_model_state"] = checkpoint["state_dict"]
            checkpoint["state_dict"] = dict(self._average)
            checkpoint["averaging_state"] = {"n_averaged": torch.tensor(self.steps)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if "current_model_state" in checkpoint:
            self._average = dict(checkpoint["state_dict"])
            self.steps = int(checkpoint["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(checkpoint["current_model_state"])
