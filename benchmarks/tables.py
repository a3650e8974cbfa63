"""Cells of the tables in ``results.md``."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.rounds import Record, Spread


def cell(spread: Spread | None) -> str:
    """Return a ratio as median [least, greatest], or a dash if there is none."""
    return "-" if spread is None else str(spread)


def verdict(spread: Spread | None, least: float | None = None, most: float | None = None) -> str:
    """Return the goal (at least `least`, or at most `most`) and whether the median reaches it; empty without a goal."""
    if least is not None:
        goal, reached = f">= {least:g}", spread is not None and spread.median >= least
    elif most is not None:
        goal, reached = f"<= {most:g}", spread is not None and spread.median <= most
    else:
        return ""
    return f"{goal}: {'not measured' if spread is None else 'reached' if reached else 'missed'}"


def missing(records: Iterable[Record], group: str, contender: str) -> str | None:
    """Return why a contender could not run, or None if it could."""
    own = (record for record in records if record["group"] == group and record["contender"] == contender)
    return next((record["missing"] for record in own if "missing" in record), None)
