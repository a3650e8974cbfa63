"""Images of digits, as people have them, into what MNIST is made of.

MNIST's recipe (http://yann.lecun.com/exdb/mnist): the digit is scaled to fit a 20x20 box, keeping its aspect ratio,
and put into a 28x28 field so that its centre of mass is in the middle, light on black.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps

from mnist_zoo.errors import InputError

FIELD, BOX = 28, 20  # pixels
LARGEST = 1024  # pixels a side that a picture is reduced to first: its digit is then still larger than the box
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

CONTRAST = 24  # of 255: the least distance between ink and ground; below it an image counts as empty
EDGE = 26  # of 255: the ink from which a pixel belongs to the digit's box


def open_image(source: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """Open an image file, or wrap an array uint8 ``(H, W)`` or ``(H, W, 3)``; turned upright as its camera noted.

    Raises:
        InputError: if there is no such file, or it is no image, cut short, or absurdly large.
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


def digitise(image: Image.Image) -> np.ndarray:
    """Turn a picture of one digit into what MNIST would have made of it.

    Ink is what differs in colour from the ground, and the ground is the most usual colour along the border: dark on
    light and light on dark come out the same.

    Args:
        image: of any size and mode, with one digit that does not fill its border.

    Returns:
        uint8 ``(28, 28)``, ink 255 on ground 0.

    Raises:
        InputError: if nothing stands out from the ground.

    Example:
        >>> from PIL import Image, ImageDraw
        >>> from mnist_zoo.digitise import digitise
        >>> paper = Image.new("RGB", (300, 200), "beige")
        >>> ImageDraw.Draw(paper).line([(40, 20), (60, 180)], fill="darkred", width=9)
        >>> digit = digitise(paper)
        >>> digit.shape, int(digit.min()), int(digit.max())
        ((28, 28), 0, 255)
    """
    ink = _ink(_plain(image))
    rows, columns = np.flatnonzero(ink.max(1) >= EDGE), np.flatnonzero(ink.max(0) >= EDGE)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    # Pillow's bilinear filter averages over everything that a smaller pixel covers.
    digit = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR))
    digit = (digit * np.float32(255 / digit.max())).round().astype(np.uint8)  # thin strokes pale when they shrink
    return _centred(digit)


def raw(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """Return an image that already is as the network's are, uint8 ``(C, H, W)``.

    Raises:
        InputError: if its size is another, or the network takes neither grey nor colour images.
    """
    channels, height, width = shape
    if image.size != (width, height):
        raise InputError(f"is {image.width}x{image.height}, and the network takes {width}x{height} as it is (--raw)")
    if channels not in (1, 3):
        raise InputError(f"the network takes {channels} channels, and images have 1 or 3")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _ink(image: Image.Image) -> np.ndarray:
    """Return how far each pixel's colour is from the ground's, uint8 ``(H, W)``: 255 where it is farthest."""
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = tuple(np.sort(border.reshape(len(border), -1), axis=0)[len(border) // 2].tolist())  # the median
    difference = ImageChops.difference(image, Image.new(image.mode, image.size, ground))
    distance = np.asarray(functools.reduce(ImageChops.lighter, difference.split()))
    farthest = int(distance.max())
    if farthest < CONTRAST:
        raise InputError("shows nothing: no pixel stands out from its border's colour")
    # What varies along the border is paper, light and compression, not ink: nine tenths of it, and a quarter more.
    border = np.sort(np.concatenate([distance[0], distance[-1], distance[:, 0], distance[:, -1]]))
    floor = min(1.25 * border[len(border) * 9 // 10], farthest / 2)
    shades = (np.arange(256) - floor) * (255 / (farthest - floor))
    return shades.clip(0, 255).round().astype(np.uint8)[distance]


def _plain(image: Image.Image) -> Image.Image:
    """Return an image of any mode as grey or RGB of 8 bits, opaque, and at most `LARGEST` a side."""
    if image.mode[0] in "IF":  # 16 bits and more, or floats: there is no standard white, so the brightest is
        pixels = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(((pixels - pixels.min()) * (255 / (np.ptp(pixels) or 1))).astype(np.uint8))
    elif image.mode in ("1", "L"):
        image = image.convert("L")
    else:
        image = _opaque(image.convert("RGBA")) if image.has_transparency_data else image.convert("RGB")
    factor = -(-max(image.size) // LARGEST)
    return image.reduce(factor) if factor > 1 else image


def _opaque(image: Image.Image) -> Image.Image:
    """Put an image with transparency on white, or on black if what it shows is light."""
    pixels = np.asarray(image, dtype=np.float32)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    light = (colour * alpha).sum() > 127.5 * 3 * alpha.sum()
    ground = Image.new("RGBA", image.size, "black" if light else "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _centred(digit: np.ndarray) -> np.ndarray:
    """Put a digit of at most 20x20 into a 28x28 field, its centre of mass in the middle, and all of it inside."""
    field = np.zeros((FIELD, FIELD), np.uint8)
    total = digit.sum(dtype=np.int64)
    starts = []
    for axis, size in enumerate(digit.shape):
        centre = digit.sum(1 - axis, dtype=np.int64) @ np.arange(size) / total
        # To pixel 14, counted from 0: MNIST's digits have it there within half a pixel, both ways.
        starts.append(min(max(round(FIELD / 2 - centre), 0), FIELD - size))
    top, left = starts
    field[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return field


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return getattr(error, "strerror", None) or str(error).splitlines()[0].split(" '")[0].split(" <")[0]
