"""What a run does around its training: record it, keep its checkpoints, show its progress."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import sys
import threading
import time
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, WeightAveraging
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.optim import count_steps
from mnist_zoo.runs import RunFolder
from mnist_zoo.speed import process


def silence_lightning() -> None:
    """Switch Lightning's greetings and tips off, and two warnings that are about nothing here; the others stay."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Nothing is logged by step; and Lightning calls something of torch's that is on its way out.
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")


class TunedProcess(Callback):
    """Set up each of DDP's processes as `train.run` sets up its own."""

    def __init__(self, matmul_precision: str):
        self.matmul_precision = matmul_precision

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        process.tune(self.matmul_precision)


class EpochSeed(Callback):
    """Seed torch anew each epoch from (seed, epoch, process).

    Dropout then draws the same numbers in epoch 5 whether training ran through or was continued there. A run that is
    continued within an epoch goes on with the generators' states of that step.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._continued: dict | None = None  # states to start with, if no epoch starts first

    def state_dict(self) -> dict:
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict) -> None:
        self._continued = state_dict

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        if self._continued is not None:
            torch.set_rng_state(self._continued["cpu"].cpu())
            if self._continued["cuda"] is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state(self._continued["cuda"].cpu())
            self._continued = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._continued = None
        torch.manual_seed(hash((self.seed, trainer.current_epoch, trainer.global_rank)) & (2**63 - 1))


class EMA(WeightAveraging):
    """Exponential moving average of the weights, updated every step, used wherever the network is evaluated.

    The decay grows as ``min(decay, (1 + n) / (10 + n))`` over the first steps n (An et al. 2020), so that the random
    initial weights are soon forgotten. Batch norm's statistics are averaged too.
    """

    def __init__(self, decay: float):
        def average(averaged, current, count):
            weight = 1 - torch.clamp((1 + count) / (10 + count), max=decay)
            return torch.lerp(averaged, current, weight.to(averaged.dtype)) if averaged.is_floating_point() else current

        super().__init__(use_buffers=True, avg_fn=average)


class Record(Checkpoint):
    """Write the run folder as training goes: curves, status, best and last checkpoint; stop when the loss diverges.

    Best is the highest `monitor` (the lowest, if it is a loss); among equal accuracies the one with the lower
    val_loss; among equals of that the earlier.

    A batch system's warning (SIGTERM; SIGUSR2 where submitit waits for it) is held back until the step under way, or
    the validation, is done and saved. Several processes are not: they go on from the last whole epoch.
    """

    def __init__(self, folder: RunFolder, monitor: str):
        self.folder, self.monitor = folder, monitor
        self.rows: list[dict] = []
        self.best: list[float] | None = None  # what is maximised, most important first
        self.best_epoch = -1  # counted from 0, as Lightning does; users see 1 more
        self.saved_within_epoch = False  # whether training was left between two steps, and saved there
        self._warning: int | None = None  # the signal that is held back
        self._handlers: dict = {}  # what the signals would have done

    def state_dict(self) -> dict:
        # Of the epoch under way: what a run needs that is continued within it.
        epoch = {"lr": self._lr, "seconds": time.perf_counter() - self._started}
        return {"best": self.best, "best_epoch": self.best_epoch, "rows": self.rows, "epoch": epoch}

    def load_state_dict(self, state_dict: dict) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.rows = state_dict["rows"]
        self._lr = state_dict["epoch"]["lr"]
        self._started = time.perf_counter() - state_dict["epoch"]["seconds"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            silence_lightning()  # each of DDP's processes starts with the greetings on

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.folder.write_curves(self.rows)  # a continued run repeats what came after its checkpoint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = None  # seconds of the epoch's training part, once validation has started
        if trainer.is_global_zero:
            self.folder.update(epoch=trainer.current_epoch, epochs=trainer.max_epochs)
        # Lightning has not told the loader where to go on if a schedule asked for the number of steps before that.
        trainer.fit_loop._load_combined_loader_states()
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            self._hold_back_warnings()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        if self._warning is None or batch_idx + 1 == trainer.num_training_batches:  # after that: the epoch's own end
            return
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer, improved=False)
            self.saved_within_epoch = True
            self._obey_warning()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)  # the epoch's work ends here: once an epoch, for honest seconds
        self._trained = time.perf_counter() - self._started

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch + 1
        if self._trained is None:
            raise InputError(
                f"epoch {epoch} ended without validation, by which the best epoch is chosen: do without the settings "
                f"of trainer that cut it off (max_steps, limit_val_batches, check_val_every_n_epoch), and set epochs"
            )
        for name in ("train_loss", "val_loss"):
            if not math.isfinite(metrics[name]):
                raise DivergedError(
                    f"{name} became {metrics[name]} in epoch {epoch} at lr={self._lr:g}: "
                    f"lower lr, or clip the gradient with grad_clip=1"
                )
        seconds = time.perf_counter() - self._started
        images = len(trainer.datamodule.labels("train"))
        if not trainer.datamodule.grouped:  # batches may be limited
            images = min(images, trainer.num_training_batches * trainer.datamodule.batch_size)
        self.rows.append(
            {"epoch": epoch, "lr": self._lr}
            | {name: metrics[name] for name in ("train_loss", "train_acc", "val_loss", "val_acc")}
            | {"seconds": round(seconds, 4), "images_per_second": round(images / self._trained, 1)}
        )
        self._trained = None
        score = [metrics[self.monitor]] if self.monitor.endswith("acc") else [-metrics[self.monitor]]
        score.append(-metrics["val_loss"])
        improved = self.best is None or score > self.best
        if improved:
            self.best, self.best_epoch = score, trainer.current_epoch
        if trainer.is_global_zero:
            self.folder.write_curves(self.rows)
        self._save(trainer, improved)
        if trainer.is_global_zero:
            self.folder.update(epoch=epoch, best_epoch=self.best_epoch + 1, seconds_per_epoch=round(seconds, 4))
        if self._warning is not None:
            self._obey_warning()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._let_signals_through()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._let_signals_through()

    def _hold_back_warnings(self) -> None:
        def hold_back(number: int, frame: object) -> None:
            self._warning = number

        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR2") if hasattr(signal, name)]  # not on Windows
        self._handlers = {n: signal.getsignal(n) for n in numbers if callable(signal.getsignal(n))}
        for number in self._handlers:
            signal.signal(number, hold_back)

    def _let_signals_through(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _obey_warning(self) -> None:
        """Do what the signal would have done; it may have been to go on."""
        number, self._warning = self._warning, None
        self._let_signals_through()
        signal.raise_signal(number)
        self._hold_back_warnings()

    def _save(self, trainer: pl.Trainer, improved: bool) -> None:
        last = self.folder.last_checkpoint
        new = last.with_suffix(".new")
        trainer.save_checkpoint(new)
        if not trainer.is_global_zero:
            return
        with new.open("rb") as file:
            os.fsync(file.fileno())
        if improved:
            _link(new, self.folder.best_checkpoint)
        if last.exists():
            os.replace(last, self.folder.previous_checkpoint)
        os.replace(new, last)


def _link(source, target) -> None:
    """Give a file a second name, replacing what had it: checkpoints are replaced, never written into."""
    temporary = target.with_suffix(".new2")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)


class Lines(Callback):
    """One plain line an epoch, for output that is read later: logs, pipes, batch jobs."""

    def __init__(self, record: Record):
        self.record = record
        self._shown = 0  # the last epoch that has its line

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shown = trainer.current_epoch  # a continued run has shown these

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._show()

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._show()

    def _show(self) -> None:
        """Show the last finished epoch, once."""
        if self.record.rows and self.record.rows[-1]["epoch"] > self._shown:
            self._shown = self.record.rows[-1]["epoch"]
            print(epoch_line(self.record.rows[-1], self.record), flush=True)


def epoch_line(row: dict, record: Record) -> str:
    """Return an epoch's figures as one line; a star marks the best epoch so far."""
    star = "*" if row["epoch"] == record.best_epoch + 1 else " "
    return (
        f"epoch {row['epoch']:3d} {star} train loss {row['train_loss']:.4f} acc {row['train_acc']:.4f}   "
        f"val loss {row['val_loss']:.4f} acc {row['val_acc']:.4f}   "
        f"{row['images_per_second']:,.0f} images/s   {row['seconds']:.1f} s"
    )


class Bar(Callback):
    """A progress bar over the whole training, for a person who watches a terminal."""

    REFRESH = 0.1  # seconds: the bar must cost nothing

    def __init__(self, record: Record):
        self.record = record
        self._shown = 0  # how many epochs have their line

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(),
            auto_refresh=False,
        )
        total, _ = count_steps(trainer)
        # Of the epoch; set here, too, for a run that is continued within one.
        self._started, self._refreshed, self._steps_before = time.monotonic(), time.monotonic(), trainer.global_step
        self._task = self._progress.add_task("", total=total, epoch=0, epochs=trainer.max_epochs, speed="-")
        self._shown = trainer.current_epoch  # a continued run has shown these
        self._progress.start()

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print_finished()
        self._started = self._refreshed = time.monotonic()
        self._steps_before = trainer.global_step

    @rank_zero_only
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        now = time.monotonic()
        if now - self._refreshed < self.REFRESH:
            return
        self._refreshed = now
        done = trainer.global_step
        speed = f"{(done - self._steps_before) * trainer.datamodule.batch_size / (now - self._started):,.0f}"
        self._progress.update(self._task, completed=done, epoch=trainer.current_epoch + 1, speed=speed, refresh=True)

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print_finished()
        # Fewer than the total after early stopping.
        self._progress.update(self._task, completed=trainer.global_step, refresh=True)
        self._progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "_progress"):
            self._progress.stop()

    def _print_finished(self) -> None:
        for row in self.record.rows[self._shown :]:
            self._progress.console.print(epoch_line(row, self.record), highlight=False, soft_wrap=True)
        self._shown = len(self.record.rows)


def progress(record: Record, style: str) -> list[Callback]:
    """Return the callback that shows progress: ``bar``, ``lines``, ``none``, or ``auto`` by what reads the output."""
    if style == "auto":
        style = "bar" if sys.stdout.isatty() else "lines"
    return {"bar": [Bar(record)], "lines": [Lines(record)], "none": []}[style]
