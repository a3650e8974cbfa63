"""Training with several processes that share each batch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.multiprocessing import ProcessRaisedException

from mnist_zoo import speed
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.errors import DivergedError, InputError, StorageError
from mnist_zoo.training.precision import set_products
from mnist_zoo.training.quiet import silence_lightning


class DistributedClassifier(LitClassifier):
    """A `LitClassifier` whose gradient is that of the whole batch, also where processes have unequal shares of it.

    DDP takes the mean of the processes' gradients. Each process therefore weights its mean loss by its share of the
    images.
    """

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        loss = super().training_step(batch, batch_idx)
        assert loss is not None
        return loss * self.trainer.train_dataloader.share(batch_idx)  # type: ignore[union-attr]  # Batches


class ProcessSettings(Callback):
    """Makes in each new process the settings that `run` makes in its own.

    Args:
        matmul_precision: of float32 products (see `set_products`).
        off: optimisations of the process to leave out; None leaves the process as it is.
    """

    def __init__(self, matmul_precision: str, off: Collection[str] | None):
        self.matmul_precision, self.off = matmul_precision, off

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A new process unpickles this before Lightning greets in it, and before `setup`."""
        self.__dict__.update(state)
        silence_lightning()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        set_products(self.matmul_precision)
        if self.off is not None:
            speed.apply_to_process(self.off)


def own_error(error: ProcessRaisedException) -> Exception:
    """Return the error of ours with which a process ended; for another error, the one that holds its traceback."""
    name, _, message = str(error).rstrip().splitlines()[-1].partition(": ")
    own = {f"{kind.__module__}.{kind.__name__}": kind for kind in (InputError, StorageError, DivergedError)}
    return own[name](message) if name in own else error
