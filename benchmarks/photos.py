"""Drawing pictures of digits as a camera sees them, for `benchmarks.photo_table`.

No picture is a file of the repository: each is drawn from a seed. Handwriting comes from images of digits, enlarged to
ink on paper; print comes from the fonts of Matplotlib and Pillow. The conversion was written with the pictures of seed
0. The page shows those of seed 1, which have other digits, inks, sizes and places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

Array = np.ndarray[Any, Any]
FONTS = (
    *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf"),
    *("DejaVuSerif-Italic.ttf", "cmr10.ttf", "cmss10.ttf", "cmtt10.ttf", "STIXGeneral.ttf"),
)
DARK = ((25, 25, 30), (30, 40, 110), (60, 20, 25), (20, 60, 40))  # inks
PAPERS = ((245, 243, 238), (235, 228, 205), (222, 226, 230))
LETTERS = "ABDEFGHJKMNPRTWXY"
NO_INK: Array = np.zeros((1, 1))


@dataclass(frozen=True)
class Photo:
    """A drawn picture: its kind, the digits on it from left to right ("" for none), and the pixels."""

    kind: str
    digits: str
    image: Image.Image


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper before anything is written on it: a square of pixels, and the colours of paper and ink."""

    rng: np.random.Generator
    paper: Array  # float (S, S, 3), 0-255
    ink: Array  # float (3,)

    @property
    def side(self) -> int:
        return len(self.paper)

    def write(self, mask: Array, centre: tuple[float, float] | None = None) -> None:
        """Put ink on the paper where `mask`, float ``(H, W)`` 0-1, says so; by default near the middle."""
        height, width = mask.shape
        free = self.side - np.array([height, width])
        place = np.array(centre) * self.side - np.array([height, width]) / 2 if centre else free * self._middle()
        top, left = np.clip(place.round().astype(int), 0, np.maximum(free, 0))
        part = self.paper[top : top + height, left : left + width]
        share = mask[: part.shape[0], : part.shape[1], None] * self.rng.uniform(0.85, 1)
        part += (self.ink - part) * share

    def _middle(self) -> Array:
        return self.rng.uniform(0.3, 0.7, 2)


def _sheet(rng: np.random.Generator, dark: bool = False) -> Sheet:
    side = int(rng.integers(90, 300))
    paper, ink = np.array(PAPERS[rng.integers(len(PAPERS))], float), np.array(DARK[rng.integers(len(DARK))], float)
    if dark:
        paper, ink = rng.uniform(15, 60, 3), np.array([240.0, 240, rng.choice([150, 240])])
    return Sheet(rng, np.tile(paper, (side, side, 1)), ink)


def _enlarged(digit: Array, side: int, pen: str = "", angle: float = 0.0) -> Array:
    """Return handwriting, uint8 ``(28, 28)``, as a mask of sharp ink, `side` pixels before it is cropped to the ink.

    The pen is that of the writer, or a ``thick`` or ``thin`` one.
    """
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    large = large.filter(ImageFilter.GaussianBlur(side / 80))
    if pen == "thick":
        large = large.filter(ImageFilter.MaxFilter(2 * round(side / 28) + 1))
    elif pen == "thin":  # the middle of each stroke: far from the paper, compared with the pixels around
        depth = ndimage.distance_transform_edt(np.asarray(large) > 110)
        middle = (depth > 0) & (depth >= 0.65 * ndimage.maximum_filter(depth, side // 9))
        large = Image.fromarray((255 * middle).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    return _cropped(large.rotate(angle, Image.Resampling.BICUBIC, expand=True))


def _cropped(mask: Image.Image) -> Array:
    """Return a mask with sharp edges, float 0-1, without its empty border."""
    edges = np.clip((np.asarray(mask, float) - 90) / 60, 0, 1)
    rows, columns = np.flatnonzero(edges.max(1) > 0.5), np.flatnonzero(edges.max(0) > 0.5)
    return edges[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else NO_INK


def _printed(text: str, side: float, font: str) -> Array:
    """Return text as a mask, `side` pixels high. The empty name is Pillow's own font."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    face = ImageFont.truetype(str(folder / font), round(side)) if font else ImageFont.load_default(round(side))
    page = Image.new("L", (round(side * (len(text) + 1)), round(side * 2)))
    ImageDraw.Draw(page).text((side / 4, side / 4), text, fill=255, font=face)
    return _cropped(page)


def _lines(sheet: Sheet, gap: float, down: bool) -> None:
    """Rule the paper with thin lines, not quite level."""
    rng, side = sheet.rng, sheet.side
    page = Image.new("L", (side, side))
    draw, slope, width = ImageDraw.Draw(page), rng.uniform(-0.02, 0.02) * side, max(1, round(side / 120))
    for y in np.arange(rng.uniform(0, gap), side, gap):
        line = [(0, y), (side, y + slope)]
        draw.line([(b, a) for a, b in line] if down else line, fill=255, width=width)
    ink = np.array([[120, 150, 200], [150, 150, 150], [220, 140, 140]][rng.integers(3)], float)
    sheet.paper[:] += (ink - sheet.paper) * np.asarray(page, float)[..., None] / 255


def _light(sheet: Sheet, hard: bool) -> None:
    """Darken one side of the picture: beyond a sharp edge, or step by step."""
    rng = sheet.rng
    y, x = np.mgrid[: sheet.side, : sheet.side] / sheet.side - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    bright = np.where(along > rng.uniform(-0.2, 0.2), 1, 0.45) if hard else np.clip(0.7 + along * 0.75, 0.25, 1)
    sheet.paper[:] *= bright[..., None]


def _desk(sheet: Sheet) -> None:
    """Show a dark desk beyond one edge of the paper, which is not quite straight."""
    rng, side = sheet.rng, sheet.side
    y, x = np.mgrid[:side, :side] / side
    edge = x * rng.uniform(-0.05, 0.05) + y
    desk = np.rot90(edge < rng.uniform(0.06, 0.13), int(rng.integers(4)))
    sheet.paper[desk] = np.array([95, 65, 40]) + 12 * np.sin(60 * x[desk])[:, None]


def _photographed(sheet: Sheet) -> Image.Image:
    """Return what the camera makes of a sheet: a little blur and noise, 8 bits."""
    pixels = sheet.paper + sheet.rng.normal(0, sheet.rng.uniform(1, 5), sheet.paper.shape)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(sheet.rng.uniform(0.3, 0.9)))


def _handwritten(digit: Array, rng: np.random.Generator, prepare: Callable[[Sheet], None], **how: Any) -> Sheet:
    """Return a sheet with one digit, 45 to 75 % of its side high; `prepare` changes the paper before the writing."""
    sheet = _sheet(rng, how.pop("dark", False))
    prepare(sheet)
    sheet.write(_enlarged(digit, round(sheet.side * rng.uniform(0.6, 1.0)), **how))
    return sheet


def _ruled(sheet: Sheet) -> None:
    _lines(sheet, sheet.side * sheet.rng.uniform(0.15, 0.3), down=False)


def _squared(sheet: Sheet) -> None:
    gap = sheet.side * sheet.rng.uniform(0.1, 0.2)
    _lines(sheet, gap, down=False)
    _lines(sheet, gap, down=True)


def _handwriting(kind: str, digit: Array, rng: np.random.Generator) -> Sheet:
    """Return a sheet with a handwritten digit of one of the `KINDS` with handwriting."""
    paper: dict[str, Callable[[Sheet], None]] = {"ruled paper": _ruled, "squared paper": _squared, "desk edge": _desk}
    how: dict[str, dict[str, Any]] = {
        "rotated": {"angle": rng.choice([-1, 1]) * rng.uniform(12, 25)},
        "thin": {"pen": "thin"},
        "thick": {"pen": "thick"},
        "light on dark": {"dark": True},
    }
    sheet = _handwritten(digit, rng, paper.get(kind, lambda sheet: None), **how.get(kind, {}))
    if kind in ("hard shadow", "uneven light"):
        _light(sheet, kind == "hard shadow")
    return sheet


def _nothing(number: int, rng: np.random.Generator) -> tuple[str, Sheet]:
    """Return a sheet without a single digit, and what it shows: letters, noise, empty paper, blobs in turn."""
    sheet = _sheet(rng)
    name = ("letters", "noise", "empty paper", "blobs")[number % 4]
    if name == "letters":
        sheet.write(_printed(LETTERS[rng.integers(len(LETTERS))], sheet.side * 0.6, FONTS[rng.integers(len(FONTS))]))
    elif name == "noise":
        sheet.paper[:] = rng.uniform(0, 255, sheet.paper.shape)
    elif name == "empty paper":
        _light(sheet, hard=bool(number % 8 < 4))
    else:
        for _ in range(rng.integers(1, 7)):
            radius = sheet.side * rng.uniform(0.05, 0.25)
            y, x = np.mgrid[-1 : 1 : 2 * radius * 1j, -1 : 1 : 2 * radius * 1j] if radius >= 1 else np.zeros((2, 1, 1))
            sheet.write((x**2 + y**2 < rng.uniform(0.4, 1)).astype(float), tuple(rng.uniform(0.2, 0.8, 2)))
    return name, sheet


def _several(digits: list[Array], rng: np.random.Generator) -> Sheet:
    """Return a sheet with several digits in a row, like a year."""
    sheet = _sheet(rng)
    for place, digit in enumerate(digits):
        mask = _enlarged(digit, round(sheet.side * 0.9 / len(digits)))
        sheet.write(mask, (0.5 + rng.uniform(-0.04, 0.04), (place + 0.5) / len(digits)))
    return sheet


HANDWRITTEN = (
    *("plain", "rotated", "thin", "thick", "light on dark", "ruled paper", "squared paper", "hard shadow"),
    *("uneven light", "desk edge"),
)
SINGLE = ("fonts", *HANDWRITTEN)
NONE = ("letters", "noise", "empty paper", "blobs")
SEVERAL = "several digits"


def draw_photos(images: Array, labels: Array, count: int, seed: int) -> Iterator[Photo]:
    """Yield `count` pictures of each kind: `SINGLE`, `NONE` and `SEVERAL`.

    Args:
        images: handwriting, uint8 ``(N, 28, 28)``.
        labels: its digits, ``(N,)``.
        count: pictures of a kind.
        seed: of everything that is random.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        sheet, text = _sheet(rng), str(number % 10)
        sheet.write(_printed(text, sheet.side * rng.uniform(0.5, 0.8), [*FONTS, ""][number % (len(FONTS) + 1)]))
        yield Photo("fonts", text, _photographed(sheet))
    for kind in HANDWRITTEN:
        for index in rng.choice(len(images), count, replace=False):
            yield Photo(kind, str(labels[index]), _photographed(_handwriting(kind, images[index], rng)))
    for number in range(4 * count):
        name, sheet = _nothing(number, rng)
        yield Photo(name, "", _photographed(sheet))
    for _ in range(count):
        chosen = rng.choice(len(images), rng.integers(2, 6), replace=False)
        digits = "".join(str(label) for label in labels[chosen])
        yield Photo(SEVERAL, digits, _photographed(_several([images[index] for index in chosen], rng)))
