"""The few pieces that several families share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
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


def check_images(images: Tensor, in_chans: int, image_size: int | None = None, at_least: int = 1) -> None:
    """Raise InputError unless a network can take these images: float ``(N, in_chans, H, W)`` of a size that fits it.

    Args:
        images: what the network was given.
        in_chans: channels it was built for.
        image_size: side of the square images that its dense layers were built for; None if it takes many sizes.
        at_least: the smallest side that its stages leave something of.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"a network takes float images (N, C, H, W), not {images.dtype} of shape {tuple(images.shape)}: "
            f"add what is missing with images.unsqueeze, and scale bytes with images.float() / 255"
        )
    channels, height, width = images.shape[1:]
    if channels != in_chans:
        raise InputError(
            f"this network was built for in_chans={in_chans} and got images of {channels} channels: "
            f"build it with in_chans={channels}, or convert the images"
        )
    if image_size is not None and (height, width) != (image_size, image_size):
        raise InputError(
            f"this network was built for {image_size}x{image_size} images and got {height}x{width}: "
            f"build it with image_size=... (square), or resize the images"
        )
    if min(height, width) < at_least:
        raise InputError(
            f"this network takes images of {at_least}x{at_least} or more and got {height}x{width}: "
            f"nothing would be left of them after its stages; enlarge the images"
        )


class Features(nn.Sequential):
    """The layers before the last linear one: square images ``(N, in_chans, image_size, image_size)`` to ``(N, D)``.

    Args:
        layers: one after another.
        in_chans, image_size: of the images.
        seen: side of the upper left square that the output depends on, where that is less than `image_size`. Training
            leaves the rest out; evaluation computes all, as the network is drawn, and so do counts of its operations.
    """

    def __init__(self, layers: Iterable[nn.Module], in_chans: int, image_size: int, seen: int | None = None):
        super().__init__(*layers)
        self.in_chans, self.image_size, self.seen = in_chans, image_size, seen or image_size

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_chans, self.image_size)
        return super().forward(x[..., : self.seen, : self.seen] if self.training else x)

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Return one layer, or a plain ``nn.Sequential`` of a slice of them: ``features[:3]`` are the first three."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)


class Dropout(nn.Dropout):
    """torch's dropout, from uniform random numbers: its own yes or no takes long (`python -m benchmarks levers`)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 1 or x.device.type != "cpu":
            return super().forward(x)
        kept = torch.rand_like(x, dtype=torch.float32).ge_(self.p).div_(1 - self.p)  # 0, or 1 over the share kept
        return x * kept.to(x.dtype)


class Flatten(nn.Flatten):
    """torch's, whose gradient comes back in the layout of its input: pooling's backward pass takes long otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            # Not contiguous(memory_format=...), which torch.func does not know how to map over a batch.
            x.register_hook(lambda gradient: gradient.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
        return super().forward(x)


class Normalize(nn.Module):
    """Pixels 0-255 of any dtype, ``(N, C, H, W)``, to float32 ``(pixels / 255 - mean) / std``."""

    def __init__(self, mean: float, std: float):
        super().__init__()
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float() * self.scale + self.shift
