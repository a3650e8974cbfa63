"""One look for every plot: colours, lines, markers, matplotlib settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

# Okabe and Ito's palette, which colour-blind readers can tell apart; its yellow is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TRAIN, VAL = COLOURS[0], COLOURS[1]
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style inside the block, and leave other figures of the process alone."""
    with matplotlib.rc_context(STYLE):
        yield


def look(index: int) -> tuple[str, str, str]:
    """Return colour, line and marker of the index-th series: 28 that differ in at least one of them."""
    turn = index // len(COLOURS)
    return COLOURS[index % len(COLOURS)], LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)]


def duration(seconds: float) -> str:
    """Return seconds as a person says them: ``18 s``, ``3.4 min``, ``2.1 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
