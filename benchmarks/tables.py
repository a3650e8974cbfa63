"""Cells and tables of ``results.md``."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.rounds import Record, Spread


def cell(spread: Spread | None) -> str:
    """Return a ratio as median [least, greatest], or a dash where there is none."""
    return "-" if spread is None else str(spread)


def verdict(spread: Spread | None, least: float | None = None, most: float | None = None) -> str:
    """Return what was aimed at and whether the median reaches it; empty without an aim."""
    if least is None and most is None:
        return ""
    aim = f">= {least:g}" if most is None else f"<= {most:g}"
    if spread is None:
        return f"{aim}: not measured"
    reached = spread.median >= least if most is None else spread.median <= most
    return f"{aim}: {'reached' if reached else 'missed'}"


def missing(records: Iterable[Record], group: str, contender: str) -> str | None:
    """Return why a contender could not run, or None if it could."""
    own = (record for record in records if record["group"] == group and record["contender"] == contender)
    return next((record["missing"] for record in own if "missing" in record), None)
