"""torch's fused optimizer kernels: the same update in one pass over the parameters."""

from __future__ import annotations

import inspect

import pytorch_lightning as pl

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.optim import OPTIMIZERS


def apply(classifier: LitClassifier, data: MNISTDataModule, trainer: pl.Trainer) -> bool:
    """Choose the fused kernel, if the optimizer has one and the user has not chosen himself.

    Under mixed precision a fused optimizer unscales gradients by itself, and Lightning cannot clip them before that.
    """
    choice = classifier.hparams["optimizer"]
    builder = OPTIMIZERS[choice["name"]]
    known = builder.__module__.startswith("torch.optim") and "fused" in inspect.signature(builder).parameters
    clipped = bool(trainer.gradient_clip_val) and trainer.precision.endswith("mixed")
    if not known or clipped or "fused" in choice or "foreach" in choice:
        return False
    choice["fused"] = True
    return True
