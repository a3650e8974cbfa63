"""Checks of the arguments of `MNISTDataModule`, `Augment` and the filters, each in one line that names the argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

from mnist_zoo.errors import InputError

MOST_FOLDS = 1000


def require_bool(name: str, value: object) -> None:
    """Raise InputError unless a value is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{name}={value}: it must be true or false")


def require_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise InputError unless a value is an int in ``low .. high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name}={value}: it must be an integer (int), not {type(value).__name__}")
    if not low <= value <= high:
        raise InputError(f"{name}={value}: it must be from {low} to {high}")


def require_folds(folds: Any, fold: Any) -> None:
    """Raise InputError unless `folds` is an int of 2 or more and `fold` one below it, or both are None."""
    if folds is None or fold is None:
        if (folds, fold) != (None, None):
            raise InputError(f"folds={folds} and fold={fold}: give both (such as 5 and 0), or neither")
        return
    require_integer("folds", folds, 2, MOST_FOLDS)
    require_integer("fold", fold, 0, folds - 1)


def require_number(name: str, value: object, low: float, high: float, above: bool = False) -> None:
    """Raise InputError unless a value is a number in ``low .. high``; above `low` if `above` is set."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name}={value}: it must be a number, not {type(value).__name__}")
    if not low <= float(value) <= high or (above and float(value) == low):  # false for NaN
        raise InputError(f"{name}={value}: it must be {'above' if above else 'from'} {low:g} to {high:g}")
