"""The errors that users can cause, and the one sentence each of them deserves."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base of the errors that the command line prints as one line, without a traceback."""


class InputError(ZooError, ValueError):
    """Something asked for cannot be: the message names the culprit and the cure."""


class DivergedError(ZooError, ArithmeticError):
    """Training left the real numbers: the loss became NaN or infinite."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for a name that nobody registered, with the nearest names and all known ones."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return InputError(f"unknown {kind} '{name}'{hint} known: {', '.join(known)}")
