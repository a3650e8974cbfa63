"""Layers and checks that several families of networks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from mnist_zoo.errors import InputError, unknown

ImageSize = int | Sequence[int]  # the side of square images, or height and width
ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def make_activation(name: str) -> nn.Module:
    """Return a new activation layer; raises InputError for an unknown name."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """Return height and width of images, pixels, from the option ``image_size``: the side of a square, or both."""
    return (image_size, image_size) if isinstance(image_size, int) else (int(image_size[0]), int(image_size[1]))


def size_words(image_size: ImageSize) -> str:
    """Return an image size as ``28x56``, height before width."""
    return "x".join(map(str, height_and_width(image_size)))


def check_images(images: Tensor, in_chans: int, image_size: ImageSize | None = None, at_least: int = 1) -> None:
    """Raise InputError unless the images are float ``(N, in_chans, H, W)`` of a size that the network takes.

    Args:
        images: the network's input.
        in_chans: channels that the network was built for.
        image_size: size of the images that its dense layers were built for; None for a network without dense layers of
            fixed size.
        at_least: smallest side that leaves at least one pixel after all stages.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"a network takes float images (N, C, H, W), not {images.dtype} of shape {tuple(images.shape)}: "
            f"add missing dimensions with images.unsqueeze, and scale uint8 with images.float() / 255"
        )
    channels, height, width = images.shape[1:]
    if channels != in_chans:
        raise InputError(
            f"this network was built for in_chans={in_chans} and got images of {channels} channels: "
            f"build it with in_chans={channels}, or convert the images"
        )
    if image_size is not None and (height, width) != height_and_width(image_size):
        raise InputError(
            f"this network was built for {size_words(image_size)} images and got {height}x{width}: "
            f"build it with image_size=[{height},{width}], or resize the images"
        )
    if min(height, width) < at_least:
        raise InputError(
            f"this network takes images of {at_least}x{at_least} or more and got {height}x{width}: "
            f"no pixel would be left after its stages; enlarge the images"
        )


class Features(nn.Sequential):
    """The layers before the last linear layer: images ``(N, in_chans, H, W)`` to ``(N, D)``.

    Args:
        layers: applied in order.
        in_chans: channels of the images.
        image_size: side of the square images, or their height and width, pixels.
    """

    def __init__(self, layers: Iterable[nn.Module], in_chans: int, image_size: ImageSize):
        super().__init__(*layers)
        self.in_chans, self.image_size = in_chans, height_and_width(image_size)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_chans, self.image_size)
        return super().forward(x)

    def __getitem__(self, index: int | slice) -> nn.Module:  # type: ignore[override]  # a slice is a plain Sequential
        """Return one layer, or for a slice a plain ``nn.Sequential`` of the layers."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)


class Normalize(nn.Module):
    """Map pixels 0-255 of any dtype, ``(N, C, H, W)``, to float32 ``(pixels / 255 - mean) / std``."""

    def __init__(self, mean: float, std: float):
        super().__init__()
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float() * self.scale + self.shift
