"""This library: what ``python -m mnist_zoo`` runs, with logging, validation and checkpoints on."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

import mnist_zoo.classifier
import mnist_zoo.speed.process
import mnist_zoo.training.run
from benchmarks.contenders import LEVERS
from benchmarks.contenders.epochs import Epochs
from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.models import cnn
from mnist_zoo.models.layers import Features


def main(turn: Turn, overrides: list[str], folder: str, off: list[str]) -> None:
    """Train an epoch a turn.

    Args:
        turn: the parent's word.
        overrides: of the command line.
        folder: the run folder.
        off: those of `benchmarks.contenders.LEVERS` that are taken out.
    """
    further, callbacks = take_out(off)
    cfg = compose_config([*overrides, *further, "epochs=1000000"])
    epochs = Epochs(turn, lambda trainer: len(trainer.datamodule.labels("train")))
    mnist_zoo.training.run.run(cfg, folder, callbacks=[*callbacks, epochs])


class _Contiguous(Callback):
    def __init__(self):
        _convolve_first()  # what comes from patches is channels last

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        pl_module.to(memory_format=torch.contiguous_format)


class _EveryStep(Callback):
    """Ask to be called after each batch, as callbacks may: several steps cannot be one call then."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        pass


def _pool_last() -> None:
    cnn.MONOTONE = frozenset()


def _convolve_first() -> None:
    mnist_zoo.classifier.join_pooling = lambda network: None


def _see_all() -> None:
    cnn.Features = lambda layers, in_chans, image_size, seen: Features(layers, in_chans, image_size)


def _drop_torchs_way() -> None:
    cnn.Dropout = nn.Dropout


def _free_memory() -> None:
    mnist_zoo.speed.process.keep_freed_memory = lambda: None


def _keep_subnormals() -> None:
    mnist_zoo.speed.process.flush_subnormals = lambda: None


# How each lever is taken out of the real command: by an override, a callback or a patch.
_WAYS = (
    "+optimizer.fused=false",
    _Contiguous,
    _pool_last,
    _convolve_first,
    _see_all,
    _drop_torchs_way,
    _free_memory,
    _keep_subnormals,
    _EveryStep,
)
_HOW = dict(zip(LEVERS, _WAYS, strict=True))


def take_out(levers: list[str]) -> tuple[list[str], list[Callback]]:
    """Take levers out of this process's library, and return the overrides and callbacks that take out the others."""
    overrides: list[str] = []
    callbacks: list[Callback] = []
    for lever in levers:
        how = _HOW[lever]
        if isinstance(how, str):
            overrides.append(how)
        elif isinstance(how, type):
            callbacks.append(how())
        else:
            how()
    return overrides, callbacks
