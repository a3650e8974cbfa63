"""A callback that trains only the last layer of a network (``experiment=autoencoder``)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from mnist_zoo.errors import InputError


class FrozenFeatures(Callback):
    """Keeps all weights but those of ``model.head`` as they are at the start: a linear classifier on fixed features.

    On the command line: ``callbacks=[mnist_zoo.training.frozen.FrozenFeatures]``, with ``pretrained=WEIGHTS``.
    Batch norm keeps its statistics, and dropout is off.

    Raises:
        InputError: if the network has no last layer ``head`` with weights.
    """

    accepts_lists = True  # for mnist_zoo.speed.several_steps

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        network, head = _network_and_head(pl_module)
        own = {id(parameter) for parameter in head.parameters()}
        if not own:
            raise InputError("callbacks: FrozenFeatures needs a network whose last layer, head, has weights")
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in own)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network, head = _network_and_head(pl_module)
        network.eval()
        head.train()


def _network_and_head(module: Any) -> tuple[nn.Module, nn.Module]:
    """Return the network of a `LitClassifier`, and its last layer (an empty module if it has none)."""
    return module.model, getattr(module.model, "head", nn.Identity())
