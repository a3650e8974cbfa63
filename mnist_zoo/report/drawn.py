"""What a plot shows, as numbers: the scripts of the HTML page draw it again, with values on hover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from mnist_zoo.report.exploring import number, svg_look
from mnist_zoo.report.figures import ERRORS_ON_AXIS

MOST_POINTS = 200  # of a line


def panels(figure: Figure) -> list[dict[str, Any]]:
    """Return the axes of a plot as the scripts draw them; none for a plot that stays a picture.

    The scripts draw lines, points with error bars, bars and tables of colours. Each must have a label (``label=`` of
    matplotlib), which is its name on the page; a plot that shows anything else stays a picture. Values, names and
    colours are those of the plot.

    Returns:
        Of axes with lines: ``title``, ``x`` and ``y`` (title, scale, percent) and ``series``: name, look, whether a
        line joins its points, and points ``[x, y, half the error bar]``. Of a table of colours: ``title``, ``rows`` and
        ``columns`` (their names), and ``cells``: value, colour, text, and whether the text is white.
    """
    images = [image for axis in figure.axes for image in axis.images]
    bars = [image.colorbar.ax for image in images if image.colorbar]
    own = [axis for axis in figure.axes if axis not in bars]
    if not all(map(_labelled, images)) or not all(map(_known, own)):
        return []
    found = []
    for axis in own:
        series = _series(axis)
        if axis.images:
            found.append(_colours(axis, axis.images[0]))
        elif series:
            x, y = (_scale(own, axis, name) for name in "xy")
            found.append({"title": _text(axis.get_title()) or y["title"], "x": x, "y": y, "series": series})
    return found


def _labelled(artist: Any) -> bool:
    return bool(artist.get_label()) and not artist.get_label().startswith("_")  # "_" begins matplotlib's own labels


def _known(axis: Axes) -> bool:
    """Return whether axes show only labelled lines, points with error bars and bars."""
    parts = [part for container in axis.containers if _labelled(container) for part in container.get_children()]
    others = [part for part in (*axis.lines, *axis.collections, *axis.patches) if part not in parts]
    return all(isinstance(one, Line2D) and _labelled(one) and one.get_transform() == axis.transData for one in others)


def _text(label: object) -> str:
    """Return a text of a plot without the marks of `mnist_zoo.plots.style.plain`."""
    return str(label).replace(r"\$", "$").strip()


def _scale(axes: Sequence[Axes], axis: Axes, name: str) -> dict[str, Any]:
    """Return title and scale of an axis; panels that share a title have it once."""
    title = next(filter(None, (_text(getattr(one, f"get_{name}label")()) for one in (axis, *axes))), "")
    scale = getattr(axis, f"get_{name}scale")()
    return {"title": title, "scale": "error" if _of_errors(axis, name) else scale, "percent": "(%)" in title}


def _of_errors(axis: Axes, name: str) -> bool:
    """Return whether the values of an axis are errors in per cent, which it shows as accuracies."""
    return getattr(axis, f"{name}axis").get_gid() == ERRORS_ON_AXIS


def _series(axis: Axes) -> list[dict[str, Any]]:
    """Return the labelled lines, points with error bars, and bars of axes."""
    found = [_line(axis, line, line.get_label(), None) for line in axis.get_lines() if _labelled(line)]
    for container in axis.containers:
        if not _labelled(container):
            continue
        if isinstance(container, ErrorbarContainer):
            line, _, bars = container.lines
            found.append(_line(axis, line, container.get_label(), bars[0] if bars else None))
        elif isinstance(container, BarContainer):
            middles = [bar.get_x() + bar.get_width() / 2 for bar in container]
            points = [[number(x), number(bar.get_height()), 0] for x, bar in zip(middles, container, strict=True)]
            look = svg_look(to_hex(container[0].get_facecolor()), "-", "s")
            found.append({"name": _text(container.get_label()), "look": look, "line": False, "points": points})
    return found


def _line(axis: Axes, line: Line2D, label: object, bars: LineCollection | None) -> dict[str, Any]:
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    half = np.zeros(len(y))
    if bars is not None:  # an end of an error bar may be cut off at the end of the axis: the other one is whole
        ends = zip(bars.get_segments(), y, strict=True)
        half = np.array([np.abs(segment[:, 1] - middle).max() for segment, middle in ends])
    if _of_errors(axis, "y"):
        y = 100 - y
    step = -(-len(x) // MOST_POINTS)
    points = np.stack([x, y, half], axis=1)[::-1][::step][::-1]
    look = svg_look(to_hex(line.get_color()), line.get_linestyle(), line.get_marker())
    drawn = line.get_linestyle() not in ("None", "")
    return {
        "name": _text(label),
        "look": look,
        "line": drawn,
        "points": [[number(value) for value in point] for point in points],
    }


def _colours(axis: Axes, image: AxesImage) -> dict[str, Any]:
    """Return a table of colours with the texts in its cells. Columns with the numbers of the rows have their names."""
    values: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    rows, columns = (
        [_text(tick.get_text()) for tick in ticks] for ticks in (axis.get_yticklabels(), axis.get_xticklabels())
    )
    texts = {tuple(np.round(text.get_position()).astype(int)): text.get_text() for text in axis.texts}
    rgb = np.asarray(image.cmap(image.norm(values)))[..., :3]
    white = rgb @ np.array([0.299, 0.587, 0.114]) < 0.5  # dark by the luminance of its colour
    cells = [
        [
            [number(value), to_hex(rgb[y, x]), texts.get((x, y), ""), int(white[y, x])] if value == value else [None]
            for x, value in enumerate(row)
        ]
        for y, row in enumerate(values)
    ]  # fmt: skip
    return {"title": _text(image.get_label()), "rows": rows, "columns": columns, "cells": cells}
