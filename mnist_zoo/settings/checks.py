"""Checks of single values. A check returns what is wrong with a value, or None."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence

Check = Callable[[object], str | None]

LONGEST_TEXT = 4096  # characters: the longest path that Linux takes
RESERVED = re.compile(r'[<>:"/\\|?*]')  # in names of files, on one of the systems
DURATION = re.compile(r"\d{2}:\d{2}:\d{2}:\d{2}")
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def number(
    low: float | None = None, high: float | None = None, *, above: float | None = None, below: float | None = None
) -> Check:
    """Return the check of a finite number in ``[low, high]``; `above` and `below` are bounds that it must not equal."""

    def check(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return "it must be a number"
        if isinstance(value, float) and math.isinf(value):
            return "it must be finite"
        if above is not None and not value > above:
            return f"it must be above {above:g}"
        if low is not None and value < low:
            return f"it must be {low:g} or more"
        if high is not None and value > high:
            return f"it must be {high:,} or less" if isinstance(high, int) else f"it must be {high:g} or less"
        if below is not None and not value < below:
            return f"it must be below {below:g}"
        # An integer with hundreds of digits cannot become a float: the bounds above are compared without conversion.
        return "it must be below 1e+300" if abs(value) > 1e300 else None

    return check


def integer(low: int, high: int) -> Check:
    """Return the check of an integer in ``[low, high]``."""
    bounds = number(low, high)
    return lambda value: (
        "it must be an integer" if isinstance(value, bool) or not isinstance(value, int) else bounds(value)
    )


def boolean(value: object) -> str | None:
    """Check that a value is true or false."""
    return None if isinstance(value, bool) else "it must be true or false"


def one_of(*names: object) -> Check:
    """Return the check of a choice. A number or boolean is not equal to a name that looks like it."""

    def check(value: object) -> str | None:
        if any(type(value) is type(name) and value == name for name in names):
            return None
        return f"it must be one of {', '.join(map(str, names))}"

    return check


def optional(check: Check) -> Check:
    """Return the check of a value that may be null."""
    return lambda value: None if value is None else check(value)


def either(*checks: Check, otherwise: str) -> Check:
    """Return the check of a value that passes one of several checks; `otherwise` says what it must be."""
    return lambda value: None if any(check(value) is None for check in checks) else otherwise


def list_of(check: Check, example: str, least: int = 0, most: int = 32) -> Check:
    """Return the check of a list with `least` to `most` entries, each of which passes `check`."""

    def check_list(value: object) -> str | None:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            return f"it must be a list, such as {example}"
        if not least <= len(value) <= most:
            return f"it must have {least} entries" if least == most else f"it must have {least} to {most} entries"
        problems = ((entry, check(entry)) for entry in value)
        return next((f"{problem}, not {entry!r}" for entry, problem in problems if problem), None)

    return check_list


def text(value: object) -> str | None:
    """Check that a value is a text of one line that is not empty."""
    if not isinstance(value, str):
        return "it must be a text"
    if not value.strip():
        return "it must not be empty"
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        return "it must not contain line breaks or other control characters"
    return f"it must have at most {LONGEST_TEXT} characters" if len(value) > LONGEST_TEXT else None


def folder(value: object) -> str | None:
    """Check that a value can name a folder to write in."""
    if not isinstance(value, str) or not value.strip():
        return "it must name a folder"
    if value.startswith("~"):
        return "~ is not replaced here: write $HOME, or the whole path"
    return text(value)


def duration(value: object) -> str | None:
    """Check a length of time as Lightning's Trainer takes it."""
    if isinstance(value, str) and DURATION.fullmatch(value):
        return None if value.strip("0:") else "it must be above 0"
    return "it must be days, hours, minutes and seconds: DD:HH:MM:SS"


def file_name(value: object) -> str | None:
    """Check that a value names one file or folder: no path, so that it cannot leave the folder that it is in."""
    problem = text(value)
    if problem is None and isinstance(value, str):
        if RESERVED.search(value) or value in (".", "..") or value != value.strip() or value.endswith("."):
            return 'it must be the name of a folder, not a path: without / \\ : * ? " < > |, and other than . and ..'
        if len(value.encode()) > 200:
            return "it must have at most 200 bytes"
    return problem


def module_name(value: object) -> str | None:
    """Check that a value names a module of Python."""
    if isinstance(value, str) and MODULE.fullmatch(value):
        return None
    return "it must name modules as import does, such as my_package.my_module"


def class_name(value: object) -> str | None:
    """Check that a value names a class in a module of Python."""
    if isinstance(value, str) and MODULE.fullmatch(value) and "." in value:
        return None
    return "it must name classes with their modules, such as my_package.my_module.MyCallback"
