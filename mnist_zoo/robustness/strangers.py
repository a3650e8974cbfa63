"""Images of none of a network's classes: made from its own test images, or from other data sets on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.data import no_downloads
from mnist_zoo.data.batches import mix
from mnist_zoo.data.sources import DIGITS, DataUnavailable, load
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images

OTHERS = ("mnist", "fashion_mnist", "kmnist", "cifar10")  # data sets that may be on disk
NUMBERS = {"noise": 1, "blank": 2, "quarter_turns": 3, "two_digits": 4}  # of the random numbers of each kind


def noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images whose pixels are independent and uniform from 0 to 255."""
    return torch.randint(0, 256, images.shape, generator=generator, dtype=torch.uint8)


def blank(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images of one grey level each, uniform from 0 to 255."""
    levels = torch.randint(0, 256, (len(images), 1, 1, 1), generator=generator, dtype=torch.uint8)
    return levels.expand(images.shape).contiguous()


def quarter_turns(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images turned by 90 degrees to the left or right. (A turned 0 or 8 is still much like a digit.)"""
    left = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator, dtype=torch.bool)
    return torch.where(left, images.rot90(1, (2, 3)), images.rot90(-1, (2, 3)))


def two_digits(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return pairs of the images side by side, each squeezed to half its width."""
    width = images.shape[3]
    halves = []
    for part in (width // 2, width - width // 2):
        order = torch.randperm(len(images), generator=generator)
        squeezed = F.interpolate(images[order].float(), (images.shape[2], part), mode="area")
        halves.append(squeezed.round().byte())
    return torch.cat(halves, dim=3)


MADE: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "noise": noise,
    "blank": blank,
    "quarter_turns": quarter_turns,
    "two_digits": two_digits,
}


def strangers(pixels: Tensor, images: Images, kinds: Sequence[str] | None, seed: int) -> dict[str, Tensor]:
    """Return images of no class by kind, uint8 ``(N, C, H, W)``: at most as many as there are known images.

    Args:
        pixels: the known images, uint8 ``(N, C, H, W)``.
        images: where they come from.
        kinds: of `MADE` and `OTHERS`; None for all that are possible.
        seed: of the random numbers.

    Raises:
        InputError: if a kind that was asked for has the network's own classes, another image size, or no files, or if
            files are damaged.
    """
    found = {}
    for kind in kinds or (*MADE, *OTHERS):
        if kind in MADE:
            if kind == "quarter_turns" and pixels.shape[2] != pixels.shape[3]:
                problem: str | None = "images that are not square cannot be turned"
            else:
                problem = None
                found[kind] = MADE[kind](pixels, torch.Generator().manual_seed(mix(seed, NUMBERS[kind])))
        else:
            problem = _same_classes(kind, images)
            if problem is None:
                others = _on_disk(kind, images.root, tuple(pixels.shape[1:]))
                if isinstance(others, str):
                    problem = others
                else:
                    found[kind] = others[: len(pixels)]
        if problem is not None and kinds:
            raise InputError(f"{kind}: {problem}")
    return found


def _same_classes(kind: str, images: Images) -> str | None:
    """Return why a data set is no stranger to a network, or None.

    Classes that are named 0 to 9 count as digits: what is behind the numbers of a CSV file or an archive is not known.
    """
    if kind == images.name or (kind == "mnist" and not set(DIGITS).isdisjoint(images.class_names)):
        return f"these are the classes that the network knows from {images.name}"
    return None


def _on_disk(kind: str, root: Path, shape: tuple[int, ...]) -> Tensor | str:
    """Return the test images of a data set, or why there are none. Nothing is downloaded.

    Raises:
        InputError: if its files are damaged.
    """
    try:
        with no_downloads():
            pixels = torch.from_numpy(load(kind, root, {}).test_images.copy())
    except DataUnavailable as error:
        return str(error)
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels
    if tuple(pixels.shape[1:]) != shape:
        size, wanted = ("x".join(map(str, each)) for each in (pixels.shape[1:], shape))
        return f"its images have the size {size}, not {wanted}"
    return pixels
