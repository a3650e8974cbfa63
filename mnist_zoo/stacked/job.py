"""One job of a stack: its run folder, and what is recorded of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import ZooError
from mnist_zoo.internals import trained_loops
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.identity import identity, origin
from mnist_zoo.stacked.settings import Choice
from mnist_zoo.training.best import BestEpoch
from mnist_zoo.training.checkpoints import AtomicCheckpointIO
from mnist_zoo.training.curves import Curves
from mnist_zoo.training.divergence import check_losses
from mnist_zoo.training.evaluation import finish_run, log_network
from mnist_zoo.training.network import classifier_options
from mnist_zoo.training.peak_memory import peak_bytes
from mnist_zoo.training.recorder import STATE_KEY, recorded_state
from mnist_zoo.training.trainer import build_logger

INTERVAL = 5.0  # seconds between two times that the curves and the status of a job under way are written


class StackedJob:
    """A job that trains with others. It owns its run folder from `open` to `close`.

    Args:
        choice: config and folder of the job.

    Attributes:
        cfg: its config.
        folder: its run folder.
        classifier: with the initial weights, after `build`; later with those that are saved.
        result: validation accuracy of the best epoch, a fraction, or the error that ended the job; None before.
    """

    def __init__(self, choice: Choice):
        self.cfg, self.folder = choice.cfg, RunFolder(choice.folder)
        self.result: float | Exception | None = None
        self.curves, self._best = Curves(), BestEpoch(self.cfg["monitor"])
        self._best_state: dict[str, Any] = {}
        self._written = 0.0
        self._held = ExitStack()
        self._logger: Any = False
        self.classifier: LitClassifier

    def open(self) -> None:
        """Lock the run folder. Raises FolderInUse."""
        self._held.enter_context(self.folder)

    def close(self, error: BaseException | None = None) -> None:
        """Give up the run folder; an error that ended the job is written to ``status.json``."""
        self._held.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    def fail(self, error: Exception) -> None:
        """End this job with an error, while the others go on."""
        self.result = error
        self.close(error)
        with suppress(ZooError):  # the disk may be full
            self.folder.write_traceback()

    def build(self, data: MNISTDataModule) -> LitClassifier:
        """Return the classifier with the initial weights that the job has alone."""
        pl.seed_everything(self.cfg["seed"], verbose=False)
        self.classifier = LitClassifier(**classifier_options(self.cfg, data))
        return self.classifier

    def start(self, data: MNISTDataModule) -> None:
        """Write that the run starts, and with what."""
        made_with = origin(self.cfg, data.fingerprint)
        epochs = {"epoch": 0, "epochs": self.cfg["epochs"]}
        self.folder.start(identity=identity(self.cfg, data.fingerprint), **made_with, **epochs)
        self._logger = build_logger(self.cfg, self.folder)

    def end_epoch(self, epoch: int, metrics: Mapping[str, float], images: int, steps: int) -> bool:
        """Record an epoch, counted from 1, and return whether it is the best so far.

        Args:
            epoch: counted from 1.
            metrics: loss and accuracy of training and validation.
            images: that it trained on.
            steps: of the training so far.

        Raises:
            DivergedError: if a loss is not finite.
        """
        check_losses(metrics, epoch, self.curves.lr)
        self.curves.end_epoch(epoch, metrics, images)
        improved = self._best.update(epoch - 1, metrics)
        if improved:
            self._best_state = self._state(epoch, steps)
        if self._logger:
            self._logger.log_metrics(dict(metrics), step=steps)
        return improved

    def write_progress(self) -> None:
        """Write the curves and the status, after the last epoch and now and then before it."""
        epoch, row = len(self.curves.rows), self.curves.rows[-1]
        if time.monotonic() - self._written > INTERVAL or epoch == self.cfg["epochs"]:
            self._written = time.monotonic()
            self.folder.write_curves(self.curves.rows)
            fields = {"epoch": epoch, "best_epoch": self._best.epoch + 1, "seconds_per_epoch": row["seconds"]}
            self.folder.update(**fields)

    def save(
        self,
        last: Mapping[str, Tensor],
        best: Mapping[str, Tensor],
        data: MNISTDataModule,
        *,
        steps: int,
        optimizer: list[dict[str, Any]],
        schedule: list[dict[str, Any]],
    ) -> None:
        """Write ``last.ckpt``, from which the run can be continued, and ``best.ckpt``, which is tested.

        Args:
            last: weights and buffers of the last epoch, by the network's names.
            best: those of the best epoch.
            data: that it trained on.
            steps: of the whole training.
            optimizer: the state of its optimizer, as Lightning keeps it.
            schedule: that of its schedule.
        """
        epochs = self.cfg["epochs"]
        loops = trained_loops(epochs, steps)
        states = {"optimizer_states": optimizer, "lr_schedulers": schedule, "loops": loops}
        self.folder.last_checkpoint.parent.mkdir(parents=True, exist_ok=True)
        self._write(self.folder.last_checkpoint, last, self._state(epochs, steps) | states, data)
        self._write(self.folder.best_checkpoint, best, self._best_state, data)

    def finish(
        self,
        logits: Mapping[str, Tensor],
        data: MNISTDataModule,
        device: str,
        optimisations: list[str],
    ) -> None:
        """Score the logits of the best epoch, finish the run folder and give it up.

        Args:
            logits: of each split, float32 ``(N, C)`` on the CPU.
            data: has the labels.
            device: name of the device.
            optimisations: of speed that were used.
        """
        self.folder.update(peak_memory_bytes=peak_bytes(data.device))
        log_network(self._logger, self.cfg, self.classifier.model, data)
        options = {"optimisations": optimisations, "device": device, "logger": self._logger, "brief": True}
        self.result = finish_run(self._cfg_as_fitted(), self.folder, self.classifier, data, logits, **options)
        self.close()

    def _cfg_as_fitted(self) -> dict[str, Any]:
        """Return the config with the image size that the data gave."""
        return {**self.cfg, "model": {**self.cfg["model"], **self.classifier.hparams["model"]}}

    def _state(self, epoch: int, steps: int) -> dict[str, Any]:
        """Return what a checkpoint at the end of an epoch, counted from 1, holds beside weights and optimizer."""
        recorded = recorded_state(self._best, self.curves, self.folder)
        return {"epoch": epoch - 1, "global_step": steps, "callbacks": {STATE_KEY: recorded}}

    def _write(self, path: Any, weights: Mapping[str, Tensor], state: dict[str, Any], data: MNISTDataModule) -> None:
        self.classifier.model.load_state_dict(dict(weights))
        checkpoint = {
            **state,
            "pytorch-lightning_version": pl.__version__,
            "state_dict": self.classifier.state_dict(),
            "hparams_name": "kwargs",
            "hyper_parameters": dict(self.classifier.hparams),
            "datamodule_hparams_name": "kwargs",
            "datamodule_hyper_parameters": {**data.hparams, "seed": self.cfg["seed"]},
            "MNISTDataModule": data.state_dict(),
        }
        self.classifier.on_save_checkpoint(checkpoint)
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)
