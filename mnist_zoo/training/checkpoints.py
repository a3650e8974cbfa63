"""The checkpoints of a run: the best epoch, the last state, and the one before it."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.runs import RunFolder


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes the checkpoints of a Trainer in one step.

    Lightning's own way leaves a file in the folder of temporary files if the disk is full.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint. Raises StorageError."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(path, content.getvalue())


class Checkpoints:
    """Writes ``last.ckpt`` and ``best.ckpt`` so that a crash at any moment leaves a complete one.

    A checkpoint is written under another name and then renamed. The last one becomes ``previous.ckpt``.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        with storage_errors(folder.path):
            folder.last_checkpoint.parent.mkdir(parents=True, exist_ok=True)

    def save(self, trainer: pl.Trainer, best: bool) -> None:
        """Save the state of training as ``last.ckpt``, and as ``best.ckpt`` if it is the best."""
        last = self.folder.last_checkpoint
        new = last.with_suffix(".new")
        trainer.save_checkpoint(new)  # in all processes: it waits for them
        if not trainer.is_global_zero:
            return
        with storage_errors(last):
            if best:
                _link(new, self.folder.best_checkpoint)
            if last.exists():
                os.replace(last, self.folder.previous_checkpoint)
            os.replace(new, last)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links. No checkpoint is written into."""
    temporary = target.with_suffix(".new2")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
