"""Measuring how much ink each pixel of a picture has, on even paper or under uneven light."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from scipy import ndimage

from mnist_zoo.errors import InputError

Pixels = np.ndarray[Any, Any]

CONTRAST = 24  # of 255; an image whose colours differ less from the background is treated as blank
EVEN = 0.25  # of the ink's contrast; the border of an even background differs less from its median
MARGIN = 1.25  # of the differences along an even border, which come from paper, lighting and compression
WINDOW = 0.4  # of the longer side: wider than a stroke, and narrower than a shadow or the paper
FAINT = 0.4  # of the ink's contrast; what differs less from its surroundings is ruling or noise
NOISE = 4.0  # standard deviations; what is this little above the paper's mean is noise
COARSE = 32  # pixels; this size is enough to see whether the ink is dark
SMOOTHED = 64  # pixels; the noise of images with a shorter side of this length is smoothed
BLANK = "is blank: no pixel differs enough from "


def measure_ink(image: Image.Image) -> tuple[Pixels, bool]:
    """Return how much ink each pixel has, and whether the background is even.

    The background is even if the pixels of the border have nearly one colour, the paper's. Ink is then the difference
    from it. Otherwise ink is what is darker, or lighter, than its surroundings: each pixel is divided by the paper's
    brightness near it. That is the grey closing of the picture (Serra 1982): the lightest pixels of a window that is
    wider than a stroke. It follows shadows with sharp edges, which a local mean would blur into ink.

    Args:
        image: grey or RGB.

    Returns:
        uint8 ``(H, W)``, where 255 is the strongest ink; and whether the background is even.

    Raises:
        InputError: if the image is blank.
    """
    distance = _distance(image)
    farthest = int(distance.max())
    if farthest < CONTRAST:
        raise InputError(f"{BLANK}the colour of its border")
    extreme = int(border(distance).max())
    if extreme <= EVEN * farthest:
        floor = min(MARGIN * extreme, farthest / 2)
        shades = (np.arange(256) - floor) * (255 / (farthest - floor))
        return shades.clip(0, 255).round().astype(np.uint8)[distance], True
    return _uneven(image), False


def border(pixels: Pixels) -> Pixels:
    """Return the outermost pixels of an array ``(H, W)`` or ``(H, W, C)``, as ``(N,)`` or ``(N, C)``."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _distance(image: Image.Image) -> Pixels:
    """Return the difference of each pixel from the border's median colour, of the channel that differs most."""
    edge = border(np.asarray(image))
    median = np.partition(edge, len(edge) // 2, axis=0)[len(edge) // 2]
    background = tuple(np.atleast_1d(median).tolist())
    difference = ImageChops.difference(image, Image.new(image.mode, image.size, background))
    return np.asarray(functools.reduce(ImageChops.lighter, difference.split()))


def _uneven(image: Image.Image) -> Pixels:
    """Return the ink of a picture whose paper has several shades, as `measure_ink`."""
    window = max(3, int(WINDOW * max(image.size)) | 1)
    dark = _is_dark(image)
    plane = functools.reduce(ImageChops.darker if dark else ImageChops.lighter, image.split())
    if not dark:
        plane = ImageChops.invert(plane)
    if min(image.size) >= SMOOTHED:
        plane = plane.filter(ImageFilter.BoxBlur(1))
    pixels = np.asarray(plane)
    paper = ndimage.grey_closing(pixels, (window, window), mode="reflect")
    ink = 1 - pixels / np.maximum(paper, 1, dtype=np.float32)
    # At least a quarter of the picture is paper. Normal noise has 0.97 standard deviations between these quantiles.
    sample = np.sort(ink[::2, ::2], axis=None)
    low, quarter = sample[len(sample) // 20], sample[len(sample) // 4]
    noise = quarter + (NOISE + 0.67) / 0.97 * (quarter - low)
    most = ink.max()
    if (most - noise) * 255 < CONTRAST:
        raise InputError(f"{BLANK}the paper around it")
    strong = np.sort(ink[ink > (most + noise) / 2])
    strongest = strong[len(strong) // 2]
    floor = max(noise, FAINT * strongest)
    return ((ink - floor) * (255 / (strongest - floor))).clip(0, 255).round().astype(np.uint8)


def _is_dark(image: Image.Image) -> bool:
    """Return whether ink is darker than paper: few pixels differ much from their surroundings, and most a little."""
    grey = np.asarray(image.convert("L").reduce(max(1, max(image.size) // COARSE)), np.float32)
    window = max(3, int(WINDOW * max(grey.shape)) | 1)
    difference = grey - ndimage.uniform_filter(grey, window, mode="nearest")
    return float((difference * difference * difference).sum()) < 0
