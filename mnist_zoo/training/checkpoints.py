"""The checkpoints of a run: the best epoch, the last state, and the one before it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytorch_lightning as pl

from mnist_zoo.runs import RunFolder


class Checkpoints:
    """Writes ``last.ckpt`` and ``best.ckpt`` so that a crash at any moment leaves a complete one.

    A checkpoint is written under another name and then renamed. The last one becomes ``previous.ckpt``.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def save(self, trainer: pl.Trainer, best: bool) -> None:
        """Save the state of training as ``last.ckpt``, and as ``best.ckpt`` if it is the best."""
        last = self.folder.last_checkpoint
        new = last.with_suffix(".new")
        trainer.save_checkpoint(new)  # in all processes: it waits for them
        if not trainer.is_global_zero:
            return
        with new.open("r+b") as file:  # Windows flushes only files that are open for writing
            os.fsync(file.fileno())
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
