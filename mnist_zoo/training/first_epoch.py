"""A callback that records the training loss of each step of the first epoch (``experiment=initialisation``)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.runs.first_epoch import write_first_epoch


class FirstEpochLosses(Callback):
    """Writes ``first_epoch.csv`` to the run folder: the loss that each step of the first epoch minimised.

    On the command line: ``callbacks=[mnist_zoo.training.first_epoch.FirstEpochLosses]``. With several processes it is
    the loss of the first one's share of each batch.

    Raises:
        InputError: with ``trainer.precision=16-mixed``, in which Lightning scales losses before callbacks see them, or
            if a step has several batches.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []  # on the device: nothing waits for it within the epoch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if str(trainer.precision) == "16-mixed":
            raise InputError(
                "callbacks: FirstEpochLosses cannot record scaled losses: use trainer.precision=bf16-mixed"
            )
        if trainer.accumulate_grad_batches != 1:
            raise InputError("callbacks: FirstEpochLosses needs one batch for each step: accumulate_grad_batches=1")

    def state_dict(self) -> dict[str, Any]:
        return {"losses": [float(loss) for loss in self._losses]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if trainer.current_epoch == 0:
            self._losses.append(loss.detach().float())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0 and trainer.is_global_zero:
            write_first_epoch(trainer.default_root_dir, (float(loss) for loss in self._losses))
            self._losses = []
