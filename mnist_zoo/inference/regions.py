"""Finding the digits in a picture of ink: connected regions, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

Pixels = np.ndarray[Any, Any]

EDGE = 26  # of 255; pixels with at least this much ink belong to a digit
STRONG = 128  # of 255; every part of a digit has a pixel with at least this much ink
MOST = 50  # parts in a picture; the smaller ones of a picture with more are dirt
SPECK = 0.02  # of the largest region's pixels; smaller regions far from it are dirt
NEAR = 0.25  # of the larger region's length; a smaller region that is nearer belongs to it
SMALL = 0.5  # of the larger region's length; only regions shorter than this are parts of another one
BESIDE = 0.06  # of the longer region's height; regions that are nearer side by side are one digit
ABOVE = 0.5  # of the narrower region's width; regions that share as many columns are one digit
SIMILAR = 0.5  # of the largest digit's height; another region of this height is a digit, too
INSIDE = 0.2  # of the image's longer side; if there is ink of this length inside, ink at the edge is no digit
EIGHT = np.ones((3, 3), int)  # neighbours of a pixel


@dataclass(frozen=True)
class Region:
    """Connected ink, or several parts of it that form one digit.

    Attributes:
        parts: numbers of the connected parts.
        top, left, bottom, right: its box; the last two are one beyond it.
        ink: number of pixels.
    """

    parts: tuple[int, ...]
    top: int
    left: int
    bottom: int
    right: int
    ink: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def length(self) -> int:
        """The longer side of its box."""
        return max(self.height, self.right - self.left)

    def __or__(self, other: Region) -> Region:
        return Region(
            self.parts + other.parts, min(self.top, other.top), min(self.left, other.left),
            max(self.bottom, other.bottom), max(self.right, other.right), self.ink + other.ink,
        )  # fmt: skip


def find_regions(ink: Pixels, even: bool) -> tuple[list[Region], Pixels]:
    """Return the digits in a picture, from left to right, and the number of each pixel's part.

    Parts that share most of their columns, and small ones beside a large one, are one digit. Dirt is left out; if
    the background is uneven, also what touches the edge of the picture (a desk, the shadow of a hand), unless there is
    nothing else.

    Args:
        ink: uint8 ``(H, W)``.
        even: whether the background is even.

    Returns:
        The digits, at least one; and int ``(H, W)``, 0 where there is no ink.
    """
    labels, count = ndimage.label(ink >= EDGE, EIGHT)
    boxes = ndimage.find_objects(labels)
    if count == 1:
        [(rows, columns)] = boxes
        return [Region((1,), rows.start, columns.start, rows.stop, columns.stop, int(np.count_nonzero(labels)))], labels
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    strong = np.zeros(count + 1, bool)
    strong[labels[ink >= STRONG]] = True
    strong[0] = False
    chosen = np.flatnonzero(strong)
    chosen = chosen[np.argsort(-sizes[chosen], kind="stable")][:MOST]
    regions = []
    for part in chosen.tolist():
        rows, columns = boxes[part - 1]
        regions.append(Region((part,), rows.start, columns.start, rows.stop, columns.stop, int(sizes[part])))
    regions = _joined(_without_dirt(regions, ink.shape, even))
    return sorted(regions, key=lambda region: region.left), labels


def largest(regions: list[Region]) -> tuple[Region, list[Region]]:
    """Return the region with the most ink, and the others that are nearly as high."""
    main = max(regions, key=lambda region: region.ink)
    return main, [other for other in regions if other is not main and other.height >= SIMILAR * main.height]


def touches_edge(region: Region, shape: tuple[int, ...]) -> bool:
    """Return whether a region of a picture ``(H, W)`` has pixels on its border."""
    return region.top == 0 or region.left == 0 or region.bottom == shape[0] or region.right == shape[1]


def _without_dirt(regions: list[Region], shape: tuple[int, ...], even: bool) -> list[Region]:
    """Return the regions that can be parts of digits."""
    inside = [region for region in regions if not touches_edge(region, shape)]
    if not even and any(region.length >= INSIDE * max(shape) for region in inside):
        regions = inside
    main = max(regions, key=lambda region: region.ink)
    return [region for region in regions if region.ink >= SPECK * main.ink or _gap(main, region) < NEAR * main.length]


def _gap(one: Region, other: Region) -> int:
    """Return the distance between two boxes, in pixels: 0 if they touch or overlap."""
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return max(across, down, 0)


def _joined(regions: list[Region]) -> list[Region]:
    """Return regions in which all parts of a digit are together."""
    regions = sorted(regions, key=lambda region: -region.ink)
    done: list[Region] = []
    for region in regions:  # the largest first: smaller ones are joined to it
        for index, other in enumerate(done):
            if _is_one_digit(other, region):
                done[index] = other | region
                break
        else:
            done.append(region)
    return done if len(done) == len(regions) else _joined(done)


def _is_one_digit(one: Region, other: Region) -> bool:
    """Return whether two regions are parts of one digit."""
    shared = min(one.right, other.right) - max(one.left, other.left)
    narrower = min(one.right - one.left, other.right - other.left)
    gap, length = _gap(one, other), max(one.length, other.length)
    small = min(one.length, other.length) < SMALL * length
    if shared >= ABOVE * narrower:
        return gap < length * (NEAR if small else 2 * NEAR)
    return gap < length * (NEAR if small else BESIDE)
