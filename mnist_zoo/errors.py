"""Errors that users can cause. Each message is one line that names the mistake and the cure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable


class ZooError(Exception):
    """Base class of the errors that the command line prints as one line, without a traceback."""


class InputError(ZooError, ValueError):
    """A setting, a name or a file is invalid."""


class StorageError(ZooError):
    """A file cannot be written: the disk is full or read-only, or the user may not write there."""


class DivergedError(ZooError, ArithmeticError):
    """The loss became NaN or infinite."""


def printable(text: object) -> str:
    """Return a text without control characters, which a file could use to give commands to the terminal.

    Newlines and tabs become spaces, all others are written as escapes such as ``\\x1b``.
    """
    return "".join(
        " " if char in "\t\n\r" else char.encode("unicode_escape").decode() if _is_control(char) else char
        for char in str(text)
    )


def _is_control(char: str) -> bool:
    """Return whether a character controls the terminal or the direction of writing, or is half of a pair."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs")


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


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, such as ``pip install 'optuna>=4'``.

    It names the packages: mnist_zoo is on no package index, and ``pip install '.[search]'`` works in a checkout only.

    Args:
        extra: a name in ``[project.optional-dependencies]`` of pyproject.toml.
    """
    from importlib import metadata  # here: it is needed for this message only

    try:
        required = metadata.requires("mnist_zoo") or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        required = []
    packages = [line.partition(";")[0].strip() for line in required if re.search(rf"extra == .{extra}\b", line)]
    return f"pip install {' '.join(map(repr, packages or [f'.[{extra}]']))}"
