"""Converting images of digits to the format of MNIST.

MNIST's own procedure (http://yann.lecun.com/exdb/mnist): the digit is scaled to fit a box of 20x20 pixels, keeping its
aspect ratio, and placed in an image of 28x28 pixels with its centre of mass in the middle, light on black.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mnist_zoo.errors import InputError
from mnist_zoo.inference.ink import measure_ink
from mnist_zoo.inference.regions import STRONG, Region, find_regions, largest, touches_edge

FIELD, BOX = 28, 20  # pixels; sides of the result and of the digit in it
LARGEST = 1024  # pixels a side; larger images are reduced first, which saves memory and time
CROWDED = 0.5  # share of the picture; a digit on paper covers less
FILLED = 0.9  # share of the picture's sides; a picture that is cropped to its digit is filled by it


@dataclass(frozen=True)
class Digit:
    """A digit found in a picture.

    Attributes:
        pixels: uint8 ``(28, 28)``; ink is 255, background 0.
        box: ``(left, top, right, bottom)``, shares of the picture's width and height, 0-1.
        warning: why it may be no digit, or not the only one; or None.
    """

    pixels: np.ndarray[Any, Any]
    box: tuple[float, float, float, float]
    warning: str | None = None


def digitise(image: Image.Image) -> np.ndarray[Any, Any]:
    """Convert an image of one digit to the format of MNIST.

    Ink is measured as the difference from the background (`mnist_zoo.inference.ink.measure_ink`). Dark digits on light
    paper and light digits on dark paper therefore give the same result, and shadows, ruling and the edge of a desk
    are left out. Of several digits the one with the most ink is converted.

    Args:
        image: one digit; any size and mode.

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
    return find_digits(image)[0].pixels


def find_digits(image: Image.Image, many: bool = False) -> list[Digit]:
    """Find the digits in an image and convert each to the format of MNIST.

    Args:
        image: as for `digitise`.
        many: return all of them, from left to right, not only the one with the most ink.

    Raises:
        InputError: as `digitise`.
    """
    ink, even = measure_ink(_eight_bits(image))
    regions, labels = find_regions(ink, even)
    main, others = largest(regions)
    warning = None
    height, width = ink.shape
    cropped = main.height >= FILLED * height and main.right - main.left >= FILLED * width
    if not even and touches_edge(main, ink.shape) and not cropped:
        warning = "touches the edge of the picture"
    elif np.count_nonzero(ink >= STRONG) > CROWDED * ink.size:
        warning = "more than half of the picture is ink"
    elif others and not many:
        warning = f"{len(others) + 1} things of similar size; --many reads each"
    return [
        Digit(
            _converted(ink, labels, region),
            (region.left / width, region.top / height, region.right / width, region.bottom / height),
            warning,
        )
        for region in ([region for region in regions if region is main or region in others] if many else [main])
    ]


def _converted(ink: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], region: Region) -> np.ndarray[Any, Any]:
    """Return the ink of one region, uint8 ``(28, 28)``."""
    box = slice(region.top, region.bottom), slice(region.left, region.right)
    near = labels[box]
    kept = np.zeros(int(near.max()) + 1, np.uint8)
    kept[[0, *region.parts]] = 1
    ink = ink[box] * kept[near]
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


def _scaled(ink: Image.Image) -> np.ndarray[Any, Any]:
    """Return an image scaled so that its longer side is `BOX` pixels."""
    scale = BOX / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    # Pillow's bilinear filter averages all the pixels that a smaller pixel covers. Rows first: given both sizes, Pillow
    # chooses the order (13.0 begins with the columns of tall images), and the other order rounds differently.
    narrow = ink.resize((width, ink.height), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR))


def _centred(digit: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Place a digit of at most 20x20 in a 28x28 image, its centre of mass as near to the middle as it fits."""
    field = np.zeros((FIELD, FIELD), np.uint8)
    starts = []
    for axis, size in enumerate(digit.shape):
        mass = digit.sum(1 - axis, dtype=np.int64)
        centre = np.arange(size) @ mass / mass.sum()
        # MNIST's own digits have their centre of mass within half a pixel of pixel 14, counted from 0, on both axes.
        starts.append(min(max(round(FIELD / 2 - centre), 0), FIELD - size))
    top, left = starts
    field[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return field
