"""Augmentation without training: this library's on whole batches, and torchvision's on one image at a time."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, InterpolationMode, RandomAffine, RandomHorizontalFlip, RandomVerticalFlip
from torchvision.transforms.functional import to_tensor

from benchmarks.turn import Turn
from mnist_zoo import MNISTDataModule
from mnist_zoo.data.augment import PRESETS

BATCH = 128


def main(turn: Turn, preset: str, kind: str, count: int, root: str) -> None:
    """Augment `count` images each turn.

    Args:
        turn: the parent's word.
        preset: ``none``, ``affine`` or ``thesis``.
        kind: ``zoo``, this library's batches of 128, shuffled and scaled; ``tensor`` or ``pil``, torchvision's
            transform of one image after another of that type; PIL images are converted to tensors afterwards.
        count: images to augment.
        root: folder of the data.
    """
    if kind == "zoo":
        data = MNISTDataModule("mnist", root=root, batch_size=BATCH, augment=preset)
        work = _batches(data)
    else:
        images = MNISTDataModule("mnist", root=root).images("train")
        work = _one_by_one(images, _transform(preset), kind)
    while True:
        turn.wait()
        done = 0
        while done < count:
            done += next(work)
        turn.report(done)


def _batches(data: MNISTDataModule) -> Iterator[int]:
    batches = data.train_dataloader()
    while True:
        for images, _ in batches:
            yield len(images)


def _one_by_one(images: Tensor, transform: Compose, kind: str) -> Iterator[int]:
    while True:
        for image in images:
            if kind == "pil":
                to_tensor(transform(Image.fromarray(image[0].numpy())))
            else:
                transform(image)
            yield 1


def _transform(preset: str) -> Compose:
    given = PRESETS[preset]
    shift, zoom, bilinear = given["shift"], given["zoom"], InterpolationMode.BILINEAR
    affine = RandomAffine(given["rotate"], (shift, shift), (1 - zoom, 1 + zoom), interpolation=bilinear)
    flips = [RandomHorizontalFlip(), RandomVerticalFlip()] if "flip_horizontal" in given else []
    return Compose([affine, *flips])
