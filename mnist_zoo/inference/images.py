"""Finding and opening image files."""

from __future__ import annotations

import glob
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_zoo.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names; its other readers start programs or are seldom tested
FORMATS_READ = "PNG, JPEG, WebP and BMP"
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
            named = (file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
            found = sorted(str(file) for file in named if not file.is_dir())
            if not found:
                raise InputError(f"{argument}: no images in this folder ({' '.join(EXTENSIONS)})")
        elif glob.has_magic(argument) and not path.exists():
            found = sorted(file for file in glob.glob(argument, recursive=True) if not Path(file).is_dir())
            if not found:
                raise InputError(f"{argument}: no file matches this pattern")
        else:
            found = [argument]  # if the file cannot be read, its prediction says so
        files += found
    return files


def open_image(source: str | Path | Image.Image | np.ndarray[Any, Any]) -> Image.Image:
    """Open an image file, rotated upright as its EXIF orientation says, or convert an array.

    Args:
        source: a PNG, JPEG, WebP or BMP file, a Pillow image (returned unchanged), or a uint8 array ``(H, W)`` or
            ``(H, W, 3)``.

    Raises:
        InputError: if the file does not exist, is not a regular file, is not an image of these formats, is truncated,
            is animated, or has more pixels than Pillow's ``MAX_IMAGE_PIXELS``.
    """
    if isinstance(source, Image.Image):
        return source
    try:
        if isinstance(source, np.ndarray):
            return Image.fromarray(source)
        return _open_file(Path(source))
    except InputError:
        raise
    except Exception as error:  # Pillow raises errors of many types for damaged files
        raise InputError(f"cannot be read as an image ({_reason(error)})") from error


def _open_file(path: Path) -> Image.Image:
    if str(path) == "-":
        raise InputError("is not read from the standard input: give the name of a file")
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
        raise InputError("is not a regular file")
    with warnings.catch_warnings(action="ignore"):  # of damaged EXIF data, which is not needed
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            frames = getattr(image, "n_frames", 1) if image.format in ("PNG", "WEBP") else 1  # photos hold previews
            if frames > 1:
                raise InputError(f"is animated: save one of its {frames} frames as an image")
            image.load()
            return ImageOps.exif_transpose(image)


def as_network_input(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """Return the pixels of an image that already has the network's size, uint8 ``(C, H, W)``.

    Args:
        image: of any mode; converted to grey or RGB.
        shape: ``(C, H, W)`` of the network's images.

    Raises:
        InputError: if the image has another size, more than 8 bits a value or transparent parts, or C is neither 1
            nor 3.
    """
    channels, height, width = shape
    if image.size != (width, height):
        raise InputError(
            f"is {image.width}x{image.height} pixels, and the network takes {width}x{height} (--raw does not resize)"
        )
    if channels not in (1, 3):
        raise InputError(f"cannot be used: the network takes {channels} channels, and images have 1 or 3")
    if image.mode[0] in "IF":
        raise InputError(f"has mode {image.mode}, more than 8 bits a pixel (--raw does not scale brightness)")
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min(initial=255) < 255:
        raise InputError("has transparent parts (--raw takes opaque images)")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    """Return why an image could not be opened, without its path, which the caller prints."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return f"{FORMATS_READ} files are read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels: make it smaller"
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].split(" '")[0].split(" <")[0]
