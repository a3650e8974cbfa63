"""How much memory a training needed."""

from __future__ import annotations

import sys

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from mnist_zoo.runs import RunFolder


class PeakMemory(Callback):
    """Notes the peak of memory in ``status.json``: of a GPU since the training began, else of the process.

    The memory of a process is the largest since it started, also for the later jobs of a sweep. Of several processes
    or GPUs the largest peak counts.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        own = peak_bytes(pl_module.device)
        if own is None:
            return
        largest = trainer.strategy.reduce(torch.tensor(own, device=pl_module.device), reduce_op="max")
        if trainer.is_global_zero:
            self.folder.update(peak_memory_bytes=int(largest))


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak in bytes: of a GPU since it was reset, else of the process; None on Windows without a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
