"""A training loop and nothing around it: no validation, no logging, no checkpoint, the images scaled in memory."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders.networks import plain
from benchmarks.turn import Turn
from mnist_zoo import MNISTDataModule, create_model
from mnist_zoo.classifier import AUXILIARY_WEIGHT, lay_out
from mnist_zoo.speed.process import flush_subnormals, keep_freed_memory


def main(
    turn: Turn,
    model: str,
    batch_size: int,
    root: str,
    fraction: float,
    tuned: bool = False,
    fused: bool = False,
    compiled: bool = False,
    device: str = "cpu",
) -> None:
    """Train an epoch a turn.

    Args:
        turn: the parent's word.
        model: the network's name.
        batch_size: images a batch.
        root: folder of the data.
        fraction: share of the training images.
        tuned: this library's network in its layout, the process set up likewise, instead of a tutorial's.
        fused: torch's fused Adam instead of its default.
        compiled: the network through ``torch.compile``.
        device: where to train.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # Lightning sets it for its own sake; a bare loop has none
    images, labels = load(root, fraction, device)
    network = prepare(model, tuned).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused or None)
    if compiled:
        network = torch.compile(network)
    network.train()
    while True:
        turn.wait()
        order = torch.randperm(len(images), device=device)
        for chosen in order.split(batch_size):
            loss = loss_of(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # on a GPU the epoch ends here
        turn.report(len(images))


def loss_of(output: Tensor | tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Return the mean cross-entropy, with that of auxiliary heads where a network has some."""
    logits, *auxiliary = output if isinstance(output, tuple) else (output,)
    return F.cross_entropy(logits, labels) + sum(AUXILIARY_WEIGHT * F.cross_entropy(head, labels) for head in auxiliary)


def load(root: str, fraction: float, device: str) -> tuple[Tensor, Tensor]:
    """Return the training part of MNIST: float32 ``(N, 1, 28, 28)``, scaled, and int64 ``(N,)``."""
    data = MNISTDataModule("mnist", root=root, train_fraction=fraction)
    data.setup()
    images = (data.images("train").to(device).float() / 255 - data.mean) / data.std
    return images, data.labels("train").to(device)


def prepare(model: str, tuned: bool) -> nn.Module:
    """Return the network as a tutorial or as this library has it."""
    if not tuned:
        return plain(model)
    keep_freed_memory()
    flush_subnormals()
    network = create_model(model)
    lay_out(network)
    return network
