"""Pictures of digits on sheets of even paper, for tests of the page to draw on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mnist_zoo.data.sources import load

SIDE = 280  # pixels, as of the pad


def digits(count: int) -> np.ndarray:
    """Return digits, uint8 ``(count, 28, 28)``: ink is 255."""
    data = load("mnist5k", Path("unused"), {})
    return data.test_images[np.random.default_rng(0).permutation(len(data.test_labels))[:count]]


def pictures(count: int) -> list[Image.Image]:
    """Return grey pictures of 280x280 pixels: dark digits of many sizes on light, slightly noisy paper.

    Every fifth has a second digit, every seventh is cut into two parts, every ninth has a speck.
    """
    rng = np.random.default_rng(1)
    samples = digits(count + 1)
    sheets = []
    for number in range(count):
        ink = np.zeros((SIDE, SIDE), np.float64)
        _place(ink, samples[number], int(rng.integers(60, 180)), rng, left=5)
        if number % 5 == 0:
            _place(ink, samples[number + 1], int(rng.integers(40, 90)), rng, left=180)
        if number % 7 == 0:
            row = int(np.flatnonzero(ink.any(1)).mean())
            ink[row : row + 4] = 0
        if number % 9 == 0:
            ink[250:253, 120:123] = 255
        paper, dark = rng.integers(190, 256), rng.integers(0, 80)
        sheet = paper - ink / 255 * (int(paper) - int(dark)) - rng.integers(0, 8, ink.shape)
        sheets.append(Image.fromarray(sheet.clip(0, 255).astype(np.uint8)))
    return sheets


def _place(ink: np.ndarray, digit: np.ndarray, side: int, rng: np.random.Generator, left: int) -> None:
    """Draw a digit of a size on a sheet, at a random place right of `left`."""
    large = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC))
    top, right = (int(rng.integers(0, space)) for space in (SIDE - side - 10, max(1, SIDE - left - side - 10)))
    part = ink[5 + top : 5 + top + side, left + right : left + right + side]
    np.maximum(part, large[:, : part.shape[1]], out=part)
