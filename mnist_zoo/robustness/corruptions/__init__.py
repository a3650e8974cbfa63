"""The fifteen corruptions of MNIST-C (Mu and Gilmer 2019, arXiv 1906.02337), for whole batches in torch.

The paper has one strength for each corruption, and the ones here are those of its code; each function says where it
deviates. Lengths are given for 28x28 images and grow with the side of larger ones. Noise differs between the channels
of an image, everything else is the same in all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from mnist_zoo.data.batches import mix
from mnist_zoo.errors import InputError, unknown
from mnist_zoo.robustness.corruptions.blur import glass_blur, motion_blur
from mnist_zoo.robustness.corruptions.draws import BLOCK, Draws
from mnist_zoo.robustness.corruptions.edges import canny_edges
from mnist_zoo.robustness.corruptions.geometry import rotate, scale, shear, translate
from mnist_zoo.robustness.corruptions.lines import dotted_line, zigzag
from mnist_zoo.robustness.corruptions.pixels import brightness, impulse_noise, shot_noise, stripe
from mnist_zoo.robustness.corruptions.weather import fog, spatter

CORRUPTIONS: dict[str, Callable[[Tensor, Draws], Tensor]] = {
    function.__name__: function
    for function in (
        *(shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness),
        *(translate, stripe, fog, spatter, dotted_line, zigzag, canny_edges),
    )
}
SMALLEST = 4  # pixels of a side


def corrupt(images: Tensor, name: str, *, seed: int = 0, first: int = 0) -> Tensor:
    """Return corrupted images.

    What happens to an image depends on the seed and on its number in its set alone. It does not depend on the device or
    on which other images are corrupted with it, so a set may be corrupted in parts.

    Args:
        images: float32 ``(N, C, H, W)``, pixels from 0 to 1.
        name: one of `CORRUPTIONS`.
        seed: of the random numbers.
        first: number of the first of the images in their set.

    Returns:
        float32 ``(N, C, H, W)``, pixels from 0 to 1, on the same device.

    Raises:
        InputError: for an unknown name, or images of another kind.

    Example:
        >>> import torch
        >>> from mnist_zoo.robustness.corruptions import corrupt
        >>> corrupt(torch.zeros(2, 1, 28, 28), "brightness")[0, 0, 0, 0].item()
        0.5
    """
    if name not in CORRUPTIONS:
        raise unknown("corruption", name, CORRUPTIONS)
    if images.ndim != 4 or images.dtype != torch.float32 or min(images.shape[1:], default=0) < 1:
        raise InputError(f"images must be float32 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if min(images.shape[2:]) < SMALLEST:
        raise InputError(f"images of {images.shape[2]}x{images.shape[3]} are too small to corrupt: {SMALLEST} at least")
    parts: list[Tensor] = []
    done = 0
    while done < len(images):
        block, row = divmod(first + done, BLOCK)
        part = images[done : done + BLOCK - row]
        draws = Draws(mix(seed, zlib.crc32(name.encode()), block), slice(row, row + len(part)), images.device)
        parts.append(CORRUPTIONS[name](part, draws))
        done += len(part)
    return torch.cat(parts) if parts else images.clone()
