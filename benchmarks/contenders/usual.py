"""The usual way: Lightning, torchvision's MNIST, a DataLoader and torchmetrics, as in templates and tutorials."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, random_split
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms
from torchvision.datasets import MNIST

from benchmarks.contenders.epochs import Epochs
from benchmarks.contenders.networks import plain
from benchmarks.turn import Turn
from mnist_zoo import create_model


class LitMNIST(pl.LightningModule):
    """Pass loss and accuracy of each step to torchmetrics, and the metrics to ``self.log``."""

    def __init__(self, network: torch.nn.Module, lr: float = 1e-3):
        super().__init__()
        self.network, self.lr = network, lr
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc = MulticlassAccuracy(10), MulticlassAccuracy(10)
        self.val_acc_best = MaxMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        self.train_loss(loss)
        self.train_acc(logits.argmax(1), labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self.network(images)
        self.val_loss(F.cross_entropy(logits, labels))
        self.val_acc(logits.argmax(1), labels)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/acc", self.val_acc, on_step=False, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def main(turn: Turn, model: str, batch_size: int, root: str, fraction: float, folder: str, device: str = "cpu") -> None:
    """Train one epoch each turn.

    Args:
        turn: the parent's word.
        model: the network's name.
        batch_size: images in a batch.
        root: folder of the data.
        fraction: share of the batches in an epoch: it makes turns shorter and does not change images/s.
        folder: for logs and checkpoints.
        device: where to train.
    """
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train, val = random_split(MNIST(root, train=True, transform=transform), [11 / 12, 1 / 12])
    trainer = pl.Trainer(
        max_epochs=1_000_000,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        default_root_dir=folder,
        limit_train_batches=fraction,
        callbacks=[Epochs(turn, lambda trainer: min(int(trainer.num_training_batches) * batch_size, len(train)))],
    )
    network = plain(model) if device == "cpu" else create_model(model)
    trainer.fit(
        LitMNIST(network),
        DataLoader(train, batch_size=batch_size, shuffle=True),
        DataLoader(val, batch_size=batch_size),
    )
