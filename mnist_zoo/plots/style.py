"""The style of all plots: colours, lines, markers and matplotlib settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType, RcKeyType

# The colour-blind safe palette of Okabe and Ito, without its yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TRAIN, VAL = COLOURS[0], COLOURS[1]
LINES: tuple[LineStyleType, ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
FIGURE_DPI = 120
STYLE: dict[RcKeyType, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": FIGURE_DPI,
    "figure.constrained_layout.use": True,
}


class Look(NamedTuple):
    """How a configuration is drawn in every plot: colour, line style and marker."""

    colour: str
    line: LineStyleType
    marker: str


_PAGE: ContextVar[dict[str, Look] | None] = ContextVar("_PAGE", default=None)


@contextmanager
def style(labels: Iterable[str] = ()) -> Iterator[None]:
    """Use `STYLE` inside the block and restore matplotlib's settings after it.

    Args:
        labels: of all configurations, which every plot that is made in the block draws alike (see `drawn_as`).
    """
    token = _PAGE.set(looks(labels))
    try:
        with matplotlib.rc_context(STYLE):
            yield
    finally:
        _PAGE.reset(token)


def plain(text: str) -> str:
    """Return a text that matplotlib draws as it is; what stands between two dollar signs would be a formula."""
    return text.replace("$", r"\$")


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return the look of each configuration. All configurations of a model have its colour, in every plot.

    Args:
        labels: of all configurations, which begin with the name of their model. If it is the same in all of them, each
            configuration has a colour of its own.
    """
    members: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        members.setdefault(label.split(" ")[0], []).append(label)
    if len(members) == 1:
        return {label: Look(*look(index)) for own in members.values() for index, label in enumerate(own)}
    found = {}
    for index, own in enumerate(members.values()):
        for place, label in enumerate(own):
            turn = place + index // len(COLOURS)  # a further model of this colour has other lines and markers
            line, marker = LINES[turn % len(LINES)], MARKERS[(turn + turn // len(LINES)) % len(MARKERS)]
            found[label] = Look(COLOURS[index % len(COLOURS)], line, marker)
    return found


def drawn_as(labels: Iterable[str]) -> dict[str, Look]:
    """Return the look of configurations: that of the `style` block, in which each looks the same in every plot.

    A label that the block does not know, such as that of several learning rates, has the colour of its model.
    """
    labels, page = [*labels], _PAGE.get() or {}
    colours = {label.split(" ")[0]: look.colour for label, look in page.items()}
    found = {label: page.get(label, own) for label, own in looks(labels).items()}
    if len(colours) > 1:
        for label, own in found.items():
            found[label] = own._replace(colour=colours.get(label.split(" ")[0], own.colour))
    return found


def look(index: int) -> tuple[str, LineStyleType, str]:
    """Return the colour, line style and marker of series `index`; the first 28 series all differ."""
    turn = index // len(COLOURS)
    return COLOURS[index % len(COLOURS)], LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)]


def duration(seconds: float) -> str:
    """Return seconds with a readable unit: ``18 s``, ``3.4 min``, ``2.1 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
