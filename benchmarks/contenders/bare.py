"""A training loop without anything around it: no validation, logging or checkpoint; the images scaled in memory."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders.networks import plain
from benchmarks.turn import Missing, Turn
from mnist_zoo import MNISTDataModule, create_model, speed
from mnist_zoo.classifier import AUXILIARY_WEIGHT
from mnist_zoo.training.precision import set_products


def main(
    turn: Turn,
    model: str,
    batch_size: int,
    root: str,
    fraction: float,
    tuned: bool = False,
    fused: bool = False,
    compiled: bool = False,
    channels_last: bool = False,
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
        compiled: compile the network with ``torch.compile``, before the first turn.
        channels_last: keep weights and images in channels-last memory format.
        device: where to train.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # only Lightning sets it to 1, and a bare loop has no Lightning
    network = prepare(model, tuned, torch.device(device))
    images, labels = load(root, fraction, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused or None)
    if channels_last:
        network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    network.train()
    if compiled:
        compile_now(network, images, labels, batch_size)
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


def compile_now(network: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> None:
    """Compile a network for the sizes of a whole batch and of the last one; raises Missing if that fails.

    Fixed sizes: the second one would otherwise turn the network into one for any size, which is slower.
    """
    network.compile(dynamic=False)
    try:
        for size in {min(batch_size, len(images)), len(images) % batch_size or batch_size}:
            loss_of(network(images[:size]), labels[:size]).backward()
            network.zero_grad()
    except Exception as error:  # a missing compiler, or whatever a back end raises
        reason = (str(error).strip().splitlines() or [""])[0]
        raise Missing(f"torch.compile fails here: {type(error).__name__}: {reason}") from error


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
    set_products("highest")  # also for convolutions, as this library does
    if not tuned:
        return plain(model).to(device)
    speed.apply_to_process()
    network = create_model(model).to(device)
    speed.apply_to_network(network, device)
    return network
