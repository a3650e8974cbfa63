"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable


def markdown(header: Iterable[str], body: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a Markdown table; ``|`` in a cell is escaped."""
    header = list(header)
    rows = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in body]
    return [f"| {' | '.join(header)} |", "|" + " --- |" * len(header), *(f"| {row} |" for row in rows)]
