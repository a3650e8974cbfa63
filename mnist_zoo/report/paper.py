"""Tables and plots for papers: LaTeX with booktabs, and vector graphics of the width of a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

WIDTH = 6.3  # inches: 160 mm, the text width of an A4 page
KINDS = ("svg", "pdf")
# Text stays text that can be searched and edited; PDF files embed TrueType fonts, as publishers ask for.
_TEXT: dict[RcKeyType, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42}
_SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "<": r"$<$", ">": r"$>$", "|": r"$|$", "\u2013": "--", "\u2212": "$-$"},
}


def latex(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Return a LaTeX table with the rules of the package booktabs. Columns of numbers are aligned to the right.

    Args:
        header: texts of the columns.
        rows: texts of the cells.
        caption: of the table.
    """
    rows = [list(row) for row in rows]
    numeric = [all(re.match(r"^[-+]?[\d.,]+|^-?$", row[place]) for row in rows) for place in range(len(header))]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if each else 'l' for each in numeric)}}}",
        r"    \toprule",
        f"    {_line(header)}",
        r"    \midrule",
        *(f"    {_line(row)}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def _line(cells: Iterable[str]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"


def vector_graphics(figure: Figure) -> dict[str, bytes]:
    """Return a plot as SVG and PDF, by ending; a plot that is wider than `WIDTH` is drawn at that width."""
    before = figure.get_size_inches()
    scale = min(1.0, WIDTH / before[0])
    found = {}
    with matplotlib.rc_context(_TEXT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        figure.set_size_inches(*(before * scale))
        for kind in KINDS:
            content = io.BytesIO()
            # Without the date, so that equal plots are equal files.
            date = {"Date": None} if kind == "svg" else {"CreationDate": None}
            figure.savefig(content, format=kind, metadata=date)
            found[kind] = content.getvalue()
        figure.set_size_inches(*before)
    return found
