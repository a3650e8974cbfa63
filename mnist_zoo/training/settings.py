"""The values that settings may have. They are checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.speed.names import ALL, OPTIMISATIONS

MONITORS = ("val_acc", "val_loss", "train_acc", "train_loss")
ON_CHANGE = ("stop", "rerun", "keep")
MATMUL_PRECISIONS = ("highest", "high", "medium")
PROGRESS = ("auto", "bar", "lines", "none")

Check = Callable[[object], str | None]  # returns what is wrong with a value, or None


def _problem_with_number(value: object, low: float | None, high: float | None, above: float | None) -> str | None:
    if isinstance(value, bool) or not isinstance(value, Real) or value != value:
        return "it must be a number"
    number = float(value)
    if above is not None and not number > above:
        return f"it must be above {above:g}"
    if low is not None and number < low:
        return f"it must be {low:g} or more"
    if high is not None and number > high:
        return f"it must be {high:g} or less"
    return None


def _number(low: float | None = None, high: float | None = None, above: float | None = None) -> Check:
    return lambda value: _problem_with_number(value, low, high, above)


def _integer(low: int, high: int | None = None) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "it must be an integer"
        return _problem_with_number(value, low, high, above=None)

    return check


def _one_of(names: tuple[str, ...]) -> Check:
    return lambda value: None if value in names else f"it must be one of {', '.join(names)}"


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _val_size(value: object) -> str | None:
    problem = _problem_with_number(value, low=None, high=None, above=0)
    if problem is None and isinstance(value, Real) and not isinstance(value, int) and float(value) >= 1:
        return "a fraction must be below 1 (a number of images must be an integer)"
    return problem


def _optimisations(value: object) -> str | None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return f"it must be a list, such as [{OPTIMISATIONS[0]},{OPTIMISATIONS[1]}]"
    names = (ALL, *OPTIMISATIONS)
    return next((str(unknown("optimisation", name, names)) for name in value if name not in names), None)


# The checks of settings. A setting that is missing here is checked where it is used.
CHECKS: dict[str, Check] = {
    "lr": _number(above=0),
    "batch_size": _integer(1),
    "epochs": _integer(1),
    "seed": _integer(0, 2**32 - 1),
    "label_smoothing": _number(0, 0.99),
    "grad_clip": _optional(_number(above=0)),
    "ema": _optional(_number(above=0, high=0.99999)),
    "monitor": _one_of(MONITORS),
    "progress": _one_of(PROGRESS),
    "on_change": _one_of(ON_CHANGE),
    "early_stop.monitor": _optional(_one_of(MONITORS)),
    "early_stop.patience": _integer(0),
    "early_stop.min_delta": _number(0),
    "trainer.matmul_precision": _one_of(MATMUL_PRECISIONS),
    "data.val_size": _val_size,
    "data.train_fraction": _number(above=0, high=1),
    "speed.off": _optimisations,
}
NEWER = ("speed",)  # groups that configurations of version 0.1.0 do not have


def check_value(key: str, value: object) -> None:
    """Raise InputError if `value` is invalid for the setting `key` (a dot between levels)."""
    problem = CHECKS[key](value) if key in CHECKS else None
    if problem:
        raise InputError(f"{key}={value}: {problem}")


def check(cfg: Mapping[str, Any]) -> None:
    """Raise InputError for the first setting of a configuration that is missing or invalid."""
    for key in CHECKS:
        parts = key.split(".")
        if parts[0] in NEWER and parts[0] not in cfg:
            continue
        value: Any = cfg
        for part in parts:
            if part not in value:
                raise unknown("setting", key, value)
            value = value[part]
        check_value(key, value)
