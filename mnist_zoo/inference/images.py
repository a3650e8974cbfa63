"""Finding and opening image files."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from mnist_zoo.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # the files that are taken from a folder


def find_images(arguments: Iterable[str]) -> list[str]:
    """Return the image files that command line arguments name.

    Args:
        arguments: files, which are returned unchanged even if they do not exist; folders, which are searched at any
            depth for files with one of `EXTENSIONS`; or glob patterns.

    Raises:
        InputError: if a folder contains no images, or a pattern matches no file.
    """
    files: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
            if not found:
                raise InputError(f"{argument}: no images in this folder ({' '.join(EXTENSIONS)})")
        elif glob.has_magic(argument) and not path.exists():
            found = sorted(file for file in glob.glob(argument, recursive=True) if Path(file).is_file())
            if not found:
                raise InputError(f"{argument}: no file matches this pattern")
        else:
            found = [argument]  # if the file cannot be read, its prediction says so
        files += found
    return files


def open_image(source: str | Path | Image.Image | np.ndarray[Any, Any]) -> Image.Image:
    """Open an image file, rotated upright as its EXIF orientation says, or convert an array.

    Args:
        source: a file, a Pillow image (returned unchanged), or a uint8 array ``(H, W)`` or ``(H, W, 3)``.

    Raises:
        InputError: if the file does not exist, is not an image, is truncated, or has too many pixels (see Pillow's
            ``MAX_IMAGE_PIXELS``).
    """
    if isinstance(source, Image.Image):
        return source
    try:
        if isinstance(source, np.ndarray):
            return Image.fromarray(source)
        with Image.open(source) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot be read as an image ({_reason(error)})") from error


def as_network_input(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """Return the pixels of an image that already has the network's size, uint8 ``(C, H, W)``.

    Args:
        image: of any mode; converted to grey or RGB.
        shape: ``(C, H, W)`` of the network's images.

    Raises:
        InputError: if the image has another size, or C is neither 1 nor 3.
    """
    channels, height, width = shape
    if image.size != (width, height):
        raise InputError(
            f"is {image.width}x{image.height} pixels, and the network takes {width}x{height} (--raw does not resize)"
        )
    if channels not in (1, 3):
        raise InputError(f"cannot be used: the network takes {channels} channels, and images have 1 or 3")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    """Return why an image could not be opened, without its path, which the caller prints."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0].split(" '")[0].split(" <")[0]
