"""Optimisations of speed. They change what is computed by rounding only, and each can be switched off by its name.

`apply` optimises a classifier, its data and a Trainer; `mnist_zoo.training.run` calls it once. `apply_to_network`
optimises a network alone. `apply_to_process` makes settings of the whole process (memory, subnormal numbers); only the
command line does so by itself. Each optimisation is one module of this package, and each has a row in
``python -m benchmarks levers``. Not part of the switch is `mnist_zoo.speed.imports`: commands start and end faster.

Example:
    >>> import pytorch_lightning as pl
    >>> from mnist_zoo import LitClassifier, MNISTDataModule, speed
    >>> silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    >>> trainer = pl.Trainer(max_epochs=1, accelerator="cpu", **silent)
    >>> model, data = LitClassifier("cnn"), MNISTDataModule("mnist5k")
    >>> speed.apply(model, data, trainer, off=["dropout"])
    ['pool_first', 'channels_last', 'patches', 'crop', 'flatten', 'fused', 'several_steps']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnist_zoo.speed.names import OPTIMISATIONS

if TYPE_CHECKING:
    from mnist_zoo.speed.switch import apply, apply_to_network, apply_to_process

__all__ = ["OPTIMISATIONS", "apply", "apply_to_network", "apply_to_process"]


def __getattr__(name: str) -> Any:  # loaded on first use: the names alone are needed without torch
    if name not in __all__:
        raise AttributeError(f"module 'mnist_zoo.speed' has no attribute '{name}'")
    return getattr(importlib.import_module("mnist_zoo.speed.switch"), name)
