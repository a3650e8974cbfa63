"""The progress of a run on the terminal: a bar, or a line an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.training.recorder import Recorder


def progress(recorder: Recorder, style: str, *, brief: bool = False) -> list[Callback]:
    """Return the callback for a style: ``bar``, ``lines``, ``none``, or ``auto`` (a bar on a terminal, else lines).

    Args:
        recorder: has the metrics of the epochs.
        style: how to show progress.
        brief: whether the bar comes without the lines of the epochs, and disappears at its end.
    """
    if style == "auto":
        style = "bar" if sys.stdout.isatty() else "lines"
    if style == "none":
        return []
    return [Bar(recorder, brief=brief) if style == "bar" else Lines(recorder)]


def epoch_line(row: Mapping[str, Any], best_epoch: int) -> str:
    """Return an epoch's metrics as one line; a star marks the best epoch so far, counted from 1."""
    star = "*" if row["epoch"] == best_epoch else " "
    return (
        f"epoch {row['epoch']:3d} {star} train loss {row['train_loss']:.4f} acc {row['train_acc']:.4f}   "
        f"val loss {row['val_loss']:.4f} acc {row['val_acc']:.4f}   "
        f"{row['images_per_second']:,.0f} images/s   {row['seconds']:.1f} s"
    )


class Lines(Callback):
    """One plain line an epoch, for logs, pipes and batch jobs.

    The line is printed when the next epoch starts, because `Recorder` adds the row after all other callbacks.
    """

    def __init__(self, recorder: Recorder):
        self.recorder = recorder
        self._shown = 0  # epochs that have their line

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shown = trainer.current_epoch  # a resumed run has printed these

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.print_new()

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.print_new()

    def print_new(self) -> None:
        """Print the lines of the epochs that ended since the last call."""
        for row in self.recorder.curves.rows[self._shown :]:
            self.print_line(epoch_line(row, self.recorder.best.epoch + 1))
        self._shown = len(self.recorder.curves.rows)

    def print_line(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)


class Bar(Lines):
    """The lines, and below them a progress bar over the steps of the whole training, for a terminal.

    Args:
        recorder: has the metrics of the epochs.
        brief: whether to leave out the lines, and to remove the bar at its end.
    """

    accepts_lists = True  # for mnist_zoo.speed.several_steps
    REFRESH = 0.1  # seconds between two updates

    def __init__(self, recorder: Recorder, *, brief: bool = False):
        super().__init__(recorder)
        self._brief = brief
        self._progress: Progress | None = None

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        assert isinstance(pl_module, LitClassifier)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=16),  # all columns fit into 80 characters
            MofNCompleteColumn(),
            TextColumn("steps"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            auto_refresh=False,
            transient=self._brief,
        )
        total, _ = pl_module.count_steps()
        self._task = self._progress.add_task("", total=total, epoch=0, epochs=trainer.max_epochs, speed="-")
        self._start_clock(trainer)  # here too, for a run that is resumed within an epoch
        self._progress.start()

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self._start_clock(trainer)

    def _start_clock(self, trainer: pl.Trainer) -> None:
        self._started = self._refreshed = time.monotonic()
        self._steps_before = trainer.global_step

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if self._progress is None or now - self._refreshed < self.REFRESH:
            return
        self._refreshed = now
        done, data = trainer.global_step, trainer.datamodule  # type: ignore[attr-defined]  # missing in Lightning
        speed = f"{(done - self._steps_before) * data.batch_size / (now - self._started):,.0f}"
        self._progress.update(self._task, completed=done, epoch=trainer.current_epoch + 1, speed=speed, refresh=True)

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.global_step, refresh=True)
            self._progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._progress is not None:
            self._progress.stop()

    def print_line(self, line: str) -> None:
        if self._progress is not None and not self._brief:
            self._progress.console.print(line, highlight=False, soft_wrap=True)
