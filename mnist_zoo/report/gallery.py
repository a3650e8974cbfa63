"""Test images on the report: each distinct image is stored once, in one picture that all others show a part of."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mnist_zoo.report.sections import Block, Sprite, Thumbnails
from mnist_zoo.report.testsets import TestSet

MOST_IMAGES = {1: 10_000, 3: 3_000}  # of one picture, by its channels; a browser shows none that is much larger
ACROSS = 100
FIRST = 100  # images that the page shows without its scripts


def sprite(runs: TestSet, test_images: np.ndarray, class_names: Sequence[str]) -> Sprite:
    """Return the picture of the images that the most runs get wrong, at most `MOST_IMAGES`, in the order of `missed`.

    Args:
        runs: with at least one error.
        test_images: uint8 ``(N, C, H, W)``, C 1 or 3.
        class_names: of the data set.
    """
    chosen = test_images[runs.missed[: MOST_IMAGES[test_images.shape[1]]]]
    count, channels, height, width = chosen.shape
    across = min(ACROSS, count)
    down = -(-count // across)
    tiles = np.full((down * across, channels, height, width), 0 if channels == 1 else 255, np.uint8)
    tiles[:count] = chosen
    grid = tiles.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(down * height, across * width, channels)
    picture = io.BytesIO()
    Image.fromarray(255 - pixels[..., 0] if channels == 1 else pixels).save(picture, format="PNG", optimize=True)
    return Sprite(picture.getvalue(), across, count, height, width, list(class_names))


def all_errors(runs: TestSet, test_images: np.ndarray, class_names: Sequence[str]) -> list[Block]:
    """Return the sprite and the `FIRST` images that the most runs get wrong; the scripts of the page show all."""
    picture, networks = sprite(runs, test_images, class_names), len(runs.table)
    first = runs.missed[: min(FIRST, picture.count)]
    captions = []
    for image in first:
        votes = np.bincount(runs.predicted[:, image], minlength=runs.classes)
        true = int(runs.labels[image])
        wrong = networks - votes[true]
        votes[true] = 0
        often = f"\n{wrong} of {networks}" if networks > 1 else ""
        captions.append(f"true {class_names[true]}\nas {class_names[int(votes.argmax())]}{often}")
    caption = (
        f"{len(runs.missed):,} of {len(runs.labels):,} test images are misclassified by at least one of "
        f"{networks} networks: true class, the class that most of them predict, and how many are wrong. "
        if networks > 1
        else f"The network misclassifies {len(runs.missed):,} of {len(runs.labels):,} test images. "
    )
    if len(first) < len(runs.missed):
        caption += f"Shown without scripts: the first {len(first)}. "
    if picture.count < len(runs.missed):
        caption += f"The page has the pictures of the {picture.count:,} that most networks get wrong. "
    return [
        Block("sprite", picture),
        Block("thumbnails", Thumbnails(list(range(len(first))), test_images[first], captions), caption, "errors"),
    ]


def thumbnails(runs: TestSet, chosen: np.ndarray, test_images: np.ndarray, captions: Sequence[str]) -> Thumbnails:
    """Return images of the sprite.

    Args:
        runs: of the sprite.
        chosen: numbers of test images that some run gets wrong; those that the sprite lacks are left out.
        test_images: uint8 ``(N, C, H, W)``.
        captions: of the chosen.
    """
    place = {int(image): number for number, image in enumerate(runs.missed[: MOST_IMAGES[test_images.shape[1]]])}
    kept = [number for number, image in enumerate(chosen) if int(image) in place]
    places = [place[int(chosen[number])] for number in kept]
    return Thumbnails(places, test_images[chosen[kept]], [captions[number] for number in kept])
