"""Image files that are sorted into folders, one folder for each class."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from mnist_zoo.data.csv_files import TEST_SHARE
from mnist_zoo.data.reading import require_memory
from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # Pillow opens no other: each decoder is a risk with files of others
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
GREY = ("1", "L", "LA", "I", "I;16")  # Pillow's modes of grey images
PARTS = ("train", "test")
NAMED = 3  # files or folders that a message lists
SECONDS = 5.0  # between lines of progress
LARGEST_SIDE = 4096  # pixels, of data.image_size
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF tag, and its values that exchange width and height

Sample = tuple[Path, int]  # a file and its label


@dataclass(frozen=True)
class Header:
    """What an image file says about itself before its pixels are decoded: ``(height, width)`` and whether it is grey.

    The size is the one after the rotation that EXIF asks for.
    """

    size: tuple[int, int]
    grey: bool


@register_dataset("folder")
def folder(root: Path, image_size: Sequence[int] | None = None, channels: int | None = None) -> ImageSet:
    """Return the images below `root`: ``root/train/<class>/`` and ``root/test/<class>/``, or ``root/<class>/``.

    In the second case a seventh of the images (MNIST's share) is the test set, in a fixed stratified split. Classes are
    in natural order of their names (2 before 10). Files are PNG, JPEG, BMP or WebP, and lie directly in the folder of
    their class. Files of other names and hidden ones are not read.

    Args:
        root: the folder.
        image_size: ``(height, width)`` that every image is resized to, without keeping its proportions. None: all
            images must have one size.
        channels: 1 for grey, 3 for colours. None: 3 if the channels of any image differ.

    Raises:
        InputError: if the folders are not as above, a class has no images, a file cannot be read or has transparent
            pixels, sizes differ, or all images together take more than 4 GiB.
    """
    size = _checked_size(image_size)
    if channels not in (None, 1, 3):
        raise InputError(f"data.channels={channels}: it must be 1 (grey), 3 (colours) or null")
    if not root.is_dir():
        raise InputError(f"data.root={root} is not a folder: name the folder of the images with data.root=DIR")
    if not any((root / part).is_dir() for part in PARTS):
        classes = _classes(root)
        samples = _samples(root, classes)
        images = _read(root, samples, size, channels)
        labels = np.array([label for _, label in samples])
        train, test = stratified_split(labels, max(1, round(len(labels) / TEST_SHARE)), seed=0)
        return ImageSet(images[train], labels[train], images[test], labels[test], tuple(classes))
    classes = _common_classes(root)
    train_samples, test_samples = (_samples(root / part, classes) for part in PARTS)
    images = _read(root, [*train_samples, *test_samples], size, channels)
    labels = np.array([label for _, label in [*train_samples, *test_samples]])
    count = len(train_samples)
    return ImageSet(images[:count], labels[:count], images[count:], labels[count:], tuple(classes))


def _checked_size(size: Sequence[int] | None) -> tuple[int, int] | None:
    """Return ``data.image_size`` as ``(height, width)``."""
    if size is None:
        return None
    valid = isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2
    if not valid or not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in size):
        raise InputError(f"data.image_size={size}: it must be [height,width], each from 1 to {LARGEST_SIDE}, or null")
    return size[0], size[1]


# -- folders --------------------------------------------------------------------------------------------------------


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key with which numbers within names count as numbers: ``img2`` before ``img10``."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def _visible(place: Path) -> list[Path]:
    """Return what a folder contains, in natural order, without hidden files."""
    return sorted((path for path in place.iterdir() if not path.name.startswith(".")), key=lambda p: natural(p.name))


def _classes(place: Path) -> list[str]:
    """Return the names of the folders in a folder, in natural order."""
    names = [path.name for path in _visible(place) if path.is_dir()]
    if len(names) < 2:
        found = f"only the folder {names[0]}" if names else "no folders"
        raise InputError(f"{place} contains {found}: one folder for each class is expected, and at least two classes")
    for name in names:
        if not name.isprintable():
            raise InputError(f"{place}: the folder {name!r} has a name that cannot be printed: rename it")
    return names


def _common_classes(root: Path) -> list[str]:
    """Return the classes of ``root/train``, after comparing them with those of ``root/test``."""
    missing = [part for part in PARTS if not (root / part).is_dir()]
    if missing:
        there = next(part for part in PARTS if part not in missing)
        raise InputError(
            f"{root} contains a folder {there} but no folder {missing[0]}: rename the other one to {missing[0]}, or "
            f"use data.root={root / there}, of which a seventh becomes the test set"
        )
    others = [path.name for path in _visible(root) if path.is_dir() and path.name not in PARTS]
    if others:
        warnings.warn(
            f"{root}: {', '.join(others[:NAMED])} beside train and test is not used (validation images are drawn from "
            f"train: data.val_size)",
            stacklevel=2,
        )
    classes, tested = _classes(root / "train"), [path.name for path in _visible(root / "test") if path.is_dir()]
    differing = sorted({*classes} ^ {*tested}, key=natural)
    if differing:
        where = "train" if differing[0] in classes else "test"
        raise InputError(f"{root}: class {differing[0]} is in {where} only: train and test must have the same classes")
    return classes


def _samples(place: Path, classes: Sequence[str]) -> list[Sample]:
    """Return the image files of every class in a folder with their labels, in natural order."""
    samples, other = [], []
    for label, name in enumerate(classes):
        files = []
        for path in _visible(place / name):
            if path.is_dir():
                raise InputError(
                    f"{place / name} contains the folder {path.name}: images must lie directly in the folder of their "
                    f"class (data.root is the folder above those of the classes)"
                )
            if path.suffix.lower() not in EXTENSIONS:
                other.append(path)
            elif not path.is_file():
                raise InputError(f"{path} is not a regular file: remove it")
            else:
                files.append(path)
        if not files:
            raise InputError(f"{place / name} contains no images ({' '.join(EXTENSIONS)}): add some or remove it")
        samples += [(path, label) for path in files]
    if other:
        warnings.warn(
            f"{place}: {len(other):,} files are not read, because their names do not end in {' '.join(EXTENSIONS)} "
            f"(for example {other[0].relative_to(place)})",
            stacklevel=2,
        )
    return samples


# -- files ----------------------------------------------------------------------------------------------------------


def _read(
    root: Path, samples: Sequence[Sample], size: tuple[int, int] | None, channels: int | None
) -> np.ndarray[Any, Any]:
    """Return the images of all files, uint8 ``(N, C, H, W)``."""
    files = [path for path, _ in samples]
    headers = [header for _, header in _each(root, files, _header)]
    if size is None:
        size = headers[0].size
        odd = next((index for index, header in enumerate(headers) if header.size != size), None)
        if odd is not None:
            raise InputError(
                f"images have several sizes: {files[0]} is {_shown(size)} (height x width) and {files[odd]} is "
                f"{_shown(headers[odd].size)}: choose one with data.image_size=[{size[0]},{size[1]}]"
            )
    planes = channels or (1 if all(header.grey for header in headers) else 3)
    require_memory(len(files), (planes, *size), root, "choose a smaller data.image_size=[H,W]")
    images = np.empty((len(files), planes, *size), np.uint8)
    coloured = channels == 3
    for index, image in _each(root, files, lambda path: _pixels(path, planes, size)):
        images[index] = image
        coloured = coloured or bool((image[:1] != image[1:]).any())
    return images if coloured or planes == 1 else images[:, :1].copy()


def _each(root: Path, files: Sequence[Path], read: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number of each file and what `read` returns for it, and show progress if this takes long.

    Raises:
        InputError: after all files, if some could not be read; the message names the first ones.
    """
    problems, shown = [], time.monotonic()
    for index, path in enumerate(files):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", module="PIL")  # such as on damaged EXIF data
                found = read(path)
        except InputError as error:
            problems.append(f"{path} ({error})")
        except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError, Warning) as error:
            reason = "not PNG, JPEG, BMP or WebP" if isinstance(error, Image.UnidentifiedImageError) else str(error)
            problems.append(f"{path} ({reason})")
        else:
            yield index, found
        if time.monotonic() - shown > SECONDS:
            shown = time.monotonic()
            print(f"reading {root}: {index + 1:,} of {len(files):,} images", file=sys.stderr, flush=True)
    if problems:
        more = f" and {len(problems) - NAMED:,} more" if len(problems) > NAMED else ""
        raise InputError(f"images that cannot be read: {', '.join(problems[:NAMED])}{more}: replace or remove them")


def _header(path: Path) -> Header:
    with Image.open(path, formats=FORMATS) as image:
        # Only if there is EXIF data: Pillow would decode a PNG file to look for it.
        turned = "exif" in image.info and image.getexif().get(ORIENTATION) in TURNED
        return Header(image.size if turned else (image.height, image.width), image.mode in GREY)


def _pixels(path: Path, channels: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return the pixels of an image file, resized if necessary, uint8 ``(C, H, W)``."""
    image: Image.Image
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise InputError("it has transparent pixels, whose colour is not defined: save it without transparency")
        if image.mode in ("I", "I;16"):  # 16 bits; to convert them to L would cut off what is above 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    if upright.size != size[::-1]:
        upright = upright.resize(size[::-1], Image.Resampling.BILINEAR)  # averages the pixels that it merges
    pixels = np.asarray(upright)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
