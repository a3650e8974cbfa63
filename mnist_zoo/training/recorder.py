"""The callback that writes the run folder while a network trains."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.errors import InputError
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.identity import ORIGIN
from mnist_zoo.training.best import BestEpoch
from mnist_zoo.training.checkpoints import Checkpoints
from mnist_zoo.training.curves import Curves
from mnist_zoo.training.divergence import check_losses
from mnist_zoo.training.quiet import silence_lightning
from mnist_zoo.training.signals import TerminationSignals

STATE_KEY = "Record"  # of the recorder's state in a checkpoint, also in those of version 0.1.0


def recorded_state(best: BestEpoch, curves: Curves, folder: RunFolder) -> dict[str, Any]:
    """Return what a checkpoint holds of a run: its best epoch, its curves, and what it was made with."""
    origin = {key: folder.status[key] for key in ORIGIN if key in folder.status}
    return best.state_dict() | curves.state_dict() | {"origin": origin}


class Recorder(Checkpoint):
    """Calls at the right moment what records a run: curves, best epoch, checkpoints, status, termination signals.

    It is one callback, because the order at the end of an epoch matters: the curves are written first, then the
    checkpoint that holds them, then the status. Only then does a termination signal take effect. A signal within an
    epoch takes effect after the step under way, saved as well. With several processes it is not held back: they resume
    at the last whole epoch.

    (Lightning calls a ``Checkpoint`` after all other callbacks and the module, when the epoch's metrics are there.)
    """

    accepts_lists = True  # for mnist_zoo.speed.several_steps

    def __init__(self, folder: RunFolder, monitor: str, warmup: int = 0):
        self.folder = folder
        self.curves, self.best = Curves(), BestEpoch(monitor, warmup)
        self.saved_within_epoch = False  # whether training ended between two steps, saved there
        self._checkpoints, self._signals = Checkpoints(folder), TerminationSignals()

    @property
    def state_key(self) -> str:
        """The name under which checkpoints hold this callback's state."""
        return STATE_KEY

    def state_dict(self) -> dict[str, Any]:
        return recorded_state(self.best, self.curves, self.folder)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best.load_state_dict(state_dict)
        self.curves.load_state_dict(state_dict)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            silence_lightning()  # in each of the new processes

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.folder.write_curves(self.curves.rows)  # a resumed run repeats the epochs after its checkpoint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.folder.update(epoch=trainer.current_epoch, epochs=trainer.max_epochs)
        if trainer.world_size == 1:
            self._signals.hold_back()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.curves.start_epoch(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last_of_epoch = batch_idx + 1 == trainer.num_training_batches  # then the epoch's own end saves
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if self._signals.received is not None and whole_step and not last_of_epoch:
            self._checkpoints.save(trainer, best=False)
            self.saved_within_epoch = True
            self._signals.deliver()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)  # once an epoch, so that its seconds cover its work
        self.curves.start_validation()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if not self.curves.validated:
            raise InputError(
                f"epoch {epoch} ended without validation, by which the best epoch is chosen: remove the settings of "
                f"trainer that skip it (max_steps, limit_val_batches, check_val_every_n_epoch), and set epochs"
            )
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        check_losses(metrics, epoch, self.curves.lr)
        row = self.curves.end_epoch(epoch, metrics, _images_trained_on(trainer, pl_module))
        improved = self.best.update(trainer.current_epoch, metrics)
        if trainer.is_global_zero:
            self.folder.write_curves(self.curves.rows)
        self._checkpoints.save(trainer, best=improved)
        if trainer.is_global_zero:
            self.folder.update(epoch=epoch, best_epoch=self.best.epoch + 1, seconds_per_epoch=row["seconds"])
        self._signals.deliver()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._signals.release()


def _images_trained_on(trainer: pl.Trainer, pl_module: pl.LightningModule) -> int:
    """Return the training images of an epoch, fewer where the Trainer limits the batches."""
    assert isinstance(pl_module, LitClassifier)
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # missing from Lightning's annotations
    _, batches = pl_module.count_steps()
    return min(data.epoch_images or len(data.labels("train")), batches * data.batch_size)
