"""The switch: applies the optimisations that are wanted and possible, and says which."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytorch_lightning as pl
import torch
from torch import nn

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import unknown
from mnist_zoo.speed import (
    captured,
    channels_last,
    crop,
    cuda_check,
    dropout,
    flatten,
    fused,
    memory,
    patches,
    pool_first,
    several_steps,
    subnormals,
)
from mnist_zoo.speed.names import ALL, NETWORK, OPTIMISATIONS, PROCESS, TRAINING

# Each returns whether it was applied, that is, whether there was something that it makes faster.
_NETWORK: dict[str, Callable[[nn.Module, torch.device], bool]] = {
    "pool_first": pool_first.apply,
    "channels_last": channels_last.apply,
    "patches": patches.apply,
    "crop": crop.apply,
    "flatten": flatten.apply,
    "dropout": dropout.apply,
}
_TRAINING: dict[str, Callable[[LitClassifier, MNISTDataModule, pl.Trainer], bool]] = {
    "fused": fused.apply,
    "several_steps": several_steps.apply,
}
_PROCESS: dict[str, Callable[[bool], bool]] = {
    "memory": lambda on_cpu: memory.apply(),
    "subnormals": lambda on_cpu: subnormals.apply(),
    "cuda_check": cuda_check.apply,
}
# `patches` replaces a convolution with the pooling right behind it, and its output is channels last.
_REQUIRES = {"patches": ("pool_first", "channels_last"), "flatten": ("channels_last",)}


def apply(
    classifier: LitClassifier,
    data: MNISTDataModule,
    trainer: pl.Trainer,
    off: Collection[str] = (),
    *,
    capture: bool = False,
) -> list[str]:
    """Optimise a classifier, its data and its training in place, and return the names of what was applied.

    Call it once, before ``trainer.fit(classifier, datamodule=data)``, and train this classifier on `data` only: its
    training loader may yield lists of batches afterwards.

    Args:
        classifier: a `LitClassifier`.
        data: the DataModule that it will be trained on.
        trainer: that will train it.
        off: names of `OPTIMISATIONS` to leave out; ``all`` leaves out all of them.
        capture: whether to replay training passes as CUDA graphs (see `mnist_zoo.speed.captured`).

    Raises:
        InputError: unknown name.
    """
    applied = apply_to_network(classifier.model, trainer.strategy.root_device, off)
    applied += [name for name in wanted(TRAINING, off) if _TRAINING[name](classifier, data, trainer)]
    return applied + (["captured"] if capture and captured.apply(classifier, trainer, data.batch_size) else [])


def apply_to_network(network: nn.Module, device: torch.device, off: Collection[str] = ()) -> list[str]:
    """Optimise a network in place for a device, and return the names of what was applied.

    The names of the parameters stay, so that state dicts fit both forms.

    Raises:
        InputError: unknown name in `off`.
    """
    names = wanted(NETWORK, off)
    possible = [name for name in names if all(other in names for other in _REQUIRES.get(name, ()))]
    return [name for name in possible if _NETWORK[name](network, device)]


def apply_to_process(off: Collection[str] = (), *, on_cpu: bool = False) -> list[str]:
    """Make the settings of this process, before torch starts its threads, and return the names of what was applied.

    Args:
        off: names of `OPTIMISATIONS` to leave out.
        on_cpu: whether this process computes on the CPU even if there is a GPU.

    Raises:
        InputError: unknown name in `off`.
    """
    return [name for name in wanted(PROCESS, off) if _PROCESS[name](on_cpu)]


def wanted(names: Collection[str], off: Collection[str]) -> list[str]:
    """Return the names that are not switched off; raises InputError for an unknown name in `off`."""
    for name in off:
        if name not in (ALL, *OPTIMISATIONS):
            raise unknown("optimisation", name, (ALL, *OPTIMISATIONS))
    return [] if ALL in off else [name for name in names if name not in off]
