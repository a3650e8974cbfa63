"""A training loop without anything around it: no validation, logging or checkpoint; the images scaled in memory."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders.networks import plain
from benchmarks.turn import Turn
from mnist_zoo import MNISTDataModule, create_model, speed
from mnist_zoo.classifier import AUXILIARY_WEIGHT


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
    """Train one epoch each turn.

    Args:
        turn: the parent's word.
        model: the network's name.
        batch_size: images in a batch.
        root: folder of the data.
        fraction: share of the training images.
        tuned: train this library's network with its optimisations of networks and processes, not a tutorial's network.
        fused: use torch's fused Adam instead of its default.
        compiled: compile the network with ``torch.compile``.
        device: where to train.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # only Lightning sets it to 1, and a bare loop has no Lightning
    network = prepare(model, tuned, torch.device(device))
    images, labels = load(root, fraction, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused or None)
    if compiled:
        network.compile()
    network.train()
    while True:
        turn.wait()
        order = torch.randperm(len(images), device=device)
        for chosen in order.split(batch_size):
            loss = loss_of(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for a GPU to finish the epoch
        turn.report(len(images))


def loss_of(output: Tensor | tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Return the mean cross-entropy, plus the weighted ones of auxiliary heads if the network has any."""
    logits, *auxiliary = output if isinstance(output, tuple) else (output,)
    return F.cross_entropy(logits, labels) + sum(AUXILIARY_WEIGHT * F.cross_entropy(head, labels) for head in auxiliary)


def load(root: str, fraction: float, device: str) -> tuple[Tensor, Tensor]:
    """Return the training part of MNIST: scaled images float32 ``(N, 1, 28, 28)``, and labels int64 ``(N,)``."""
    data = MNISTDataModule("mnist", root=root, train_fraction=fraction)
    data.setup()
    images = (data.images("train").to(device).float() / 255 - data.mean) / data.std
    return images, data.labels("train").to(device)


def prepare(model: str, tuned: bool, device: torch.device) -> nn.Module:
    """Return a tutorial's network on its device, or this library's, with its optimisations of network and process."""
    if not tuned:
        return plain(model).to(device)
    speed.apply_to_process()
    network = create_model(model).to(device)
    speed.apply_to_network(network, device)
    return network
