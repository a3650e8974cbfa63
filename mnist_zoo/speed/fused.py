"""torch's fused optimizer kernels: the same update in one pass over the parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.optim import OPTIMIZERS


def apply(classifier: LitClassifier, data: MNISTDataModule, trainer: pl.Trainer) -> bool:
    """Choose the fused kernel, if the optimizer has one and the user has not chosen himself.

    Under mixed precision a fused optimizer unscales gradients by itself, and Lightning cannot clip them before that.
    """
    choice = classifier.hparams["optimizer"]
    clipped = bool(trainer.gradient_clip_val) and trainer.precision.endswith("mixed")
    if clipped or not has_fused_kernel(choice):
        return False
    choice["fused"] = True
    return True


def has_fused_kernel(choice: Mapping[str, Any]) -> bool:
    """Return whether an optimizer, given by its name and options, has a fused kernel that the options leave open."""
    builder = OPTIMIZERS[choice["name"]]
    known = builder.__module__.startswith("torch.optim") and "fused" in inspect.signature(builder).parameters
    return known and "fused" not in choice and "foreach" not in choice
