"""Errors that users can cause. Each message is one line that names the mistake and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base class of the errors that the command line prints as one line, without a traceback."""


class InputError(ZooError, ValueError):
    """A setting, a name or a file is invalid."""


class DivergedError(ZooError, ArithmeticError):
    """The loss became NaN or infinite."""


def unknown(kind: str, name: object, known: Iterable[object]) -> InputError:
    """Return the error for an unknown name. Its message lists the most similar names and all known ones.

    Args:
        kind: what is named, such as ``model``.
        name: the unknown name.
        known: all valid names.
    """
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return InputError(f"unknown {kind} '{name}'{hint} known: {', '.join(names)}")
