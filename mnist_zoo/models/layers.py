"""The few pieces that several families share."""

from __future__ import annotations

from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}

# max(f(a), f(b)) = f(max(a, b)) for these: pooling first gives the same output for a quarter of the activations.
MONOTONE = {"relu", "leaky_relu", "elu", "tanh", "sigmoid"}


def make_activation(name: str) -> nn.Module:
    """Return a new activation layer; raises InputError for an unknown name."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def check_size(images: Tensor, image_size: int) -> None:
    """Raise InputError unless images ``(N, C, H, W)`` have the size that a network's dense layers were built for."""
    if images.shape[-2:] != (image_size, image_size):
        height, width = images.shape[-2:]
        raise InputError(
            f"this network was built for {image_size}x{image_size} images and got {height}x{width}: "
            f"build it with image_size=... (square), or resize the images"
        )
