"""Converting images of digits to the format of MNIST.

MNIST's own procedure (http://yann.lecun.com/exdb/mnist): the digit is scaled to fit a box of 20x20 pixels, keeping its
aspect ratio, and placed in an image of 28x28 pixels with its centre of mass in the middle, light on black.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from mnist_zoo.errors import InputError

FIELD, BOX = 28, 20  # pixels; sides of the result and of the digit in it
LARGEST = 1024  # pixels a side; larger images are reduced first, which saves memory and time
CONTRAST = 24  # of 255; an image whose colours differ less from the background is treated as blank
EDGE = 26  # of 255; pixels with at least this much ink define the digit's bounding box


def digitise(image: Image.Image) -> np.ndarray[Any, Any]:
    """Convert an image of one digit to the format of MNIST.

    Ink is measured as the difference from the background, whose colour is the median along the border. Dark digits on
    light paper and light digits on dark paper therefore give the same result.

    Args:
        image: one digit; any size and mode. The background must cover more than half of the border.

    Returns:
        uint8 ``(28, 28)``; ink is 255, background 0.

    Raises:
        InputError: if the image is blank, has no pixels or no finite values, or its mode cannot be converted to RGB.

    Example:
        >>> from PIL import Image, ImageDraw
        >>> from mnist_zoo.inference.digitise import digitise
        >>> paper = Image.new("RGB", (300, 200), "beige")
        >>> ImageDraw.Draw(paper).line([(40, 20), (60, 180)], fill="darkred", width=9)
        >>> digit = digitise(paper)
        >>> digit.shape, int(digit.min()), int(digit.max())
        ((28, 28), 0, 255)
    """
    ink = _ink(_eight_bits(image))
    rows, columns = np.flatnonzero(ink.max(1) >= EDGE), np.flatnonzero(ink.max(0) >= EDGE)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    digit = _scaled(Image.fromarray(ink))
    if not digit.any():  # a few scattered pixels: their average in the smaller image is less than 1
        digit = _scaled(Image.fromarray(ink.astype(np.float32)))
    digit = (digit * np.float32(255 / digit.max())).round().astype(np.uint8)  # scaling down makes thin strokes paler
    return _centred(digit)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of any mode as opaque 8-bit grey or RGB, at most `LARGEST` pixels a side."""
    if 0 in image.size:
        raise InputError(f"has no pixels ({image.width}x{image.height})")
    if image.mode[0] in "IF":  # 16 bits and more, or floats: no value is defined as white, so the largest one is
        pixels = np.asarray(image, dtype=np.float64)
        extent = np.ptp(pixels)
        if not np.isfinite(extent):
            raise InputError("has pixels that are NaN or infinite")
        image = Image.fromarray(((pixels - pixels.min()) * (255 / (extent or 1))).astype(np.uint8))
    else:
        try:
            image = _opaque(image)
        except ValueError as error:
            raise InputError(f"has mode {image.mode}, which cannot be converted to RGB ({error})") from error
    factor = -(-max(image.size) // LARGEST)
    return image.reduce(factor) if factor > 1 else image


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image as grey or RGB; transparent parts become white, or black if the visible parts are light."""
    if image.mode in ("1", "L"):
        return image.convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    pixels = np.asarray(image, dtype=np.float32)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    light = (colour * alpha).sum() > 127.5 * 3 * alpha.sum()
    background = Image.new("RGBA", image.size, "black" if light else "white")
    return Image.alpha_composite(background, image).convert("RGB")


def _ink(image: Image.Image) -> np.ndarray[Any, Any]:
    """Return how much each pixel differs from the background, uint8 ``(H, W)``; the largest value is 255."""
    median = np.quantile(_border(np.asarray(image)), 0.5, axis=0, method="higher")
    background = tuple(np.atleast_1d(median).tolist())
    difference = ImageChops.difference(image, Image.new(image.mode, image.size, background))
    distance = np.asarray(functools.reduce(ImageChops.lighter, difference.split()))  # of the channel that differs most
    farthest = int(distance.max())
    if farthest < CONTRAST:
        raise InputError("is blank: no pixel differs enough from the colour of its border")
    # Differences along the border come from paper, lighting and compression. The 90th percentile and a margin of 25 %
    # are subtracted everywhere, so that they do not count as ink.
    floor = min(1.25 * np.quantile(_border(distance), 0.9, method="higher"), farthest / 2)
    shades = (np.arange(256) - floor) * (255 / (farthest - floor))
    return shades.clip(0, 255).round().astype(np.uint8)[distance]


def _border(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the outermost pixels of an array ``(H, W)`` or ``(H, W, C)``, as ``(N,)`` or ``(N, C)``."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _scaled(ink: Image.Image) -> np.ndarray[Any, Any]:
    """Return an image scaled so that its longer side is `BOX` pixels."""
    scale = BOX / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    # Pillow's bilinear filter averages all the pixels that a smaller pixel covers.
    return np.asarray(ink.resize((width, height), Image.Resampling.BILINEAR))


def _centred(digit: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Place a digit of at most 20x20 in a 28x28 image, its centre of mass as near to the middle as it fits."""
    field = np.zeros((FIELD, FIELD), np.uint8)
    starts = []
    for axis, size in enumerate(digit.shape):
        centre = np.average(np.arange(size), weights=digit.sum(1 - axis, dtype=np.int64))
        # MNIST's own digits have their centre of mass within half a pixel of pixel 14, counted from 0, on both axes.
        starts.append(min(max(round(FIELD / 2 - centre), 0), FIELD - size))
    top, left = starts
    field[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return field
