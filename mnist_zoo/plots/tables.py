"""Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What Markdown takes for markup: in any place, within a text, or at its beginning.
_MARKUP = re.compile(r"[\\`*~]|(?<!\w)_|_(?!\w)|\](?=[(\[:])|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_BLOCK = re.compile(r"^(#(?=#*(\s|$))|>|[+-](?=\s)|-(?=--)|=(?=[= ]*$)|\d+(?=[.)](\s|$)))")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def markdown(header: Iterable[str], body: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a Markdown table; ``|`` in a cell is escaped."""
    header = list(header)
    rows = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in body]
    return [f"| {' | '.join(header)} |", "|" + " --- |" * len(header), *(f"| {row} |" for row in rows)]


def escape(text: object) -> str:
    """Return a text that Markdown shows as it is: without markup, links and HTML tags."""
    escaped = _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), str(text).strip())
    return _BLOCK.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", escaped)
