"""What a config must satisfy, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real

from mnist_zoo.errors import InputError, unknown

MONITORS = ("val_acc", "val_loss", "train_acc", "train_loss")
ON_CHANGE = ("stop", "rerun", "keep")
MATMUL_PRECISIONS = ("highest", "high", "medium")
PROGRESS = ("auto", "bar", "lines", "none")


def _number(value, low: float | None = None, high: float | None = None, above: float | None = None) -> str | None:
    """Return what is wrong with a value that must be a number (within bounds), or None."""
    if isinstance(value, bool) or not isinstance(value, Real) or value != value:
        return "it must be a number"
    if above is not None and not value > above:
        return f"it must be above {above:g}"
    if low is not None and value < low:
        return f"it must be {low:g} or more"
    if high is not None and value > high:
        return f"it must be {high:g} or less"
    return None


def _integer(value, low: int, high: int | None = None) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "it must be a whole number"
    return _number(value, low, high)


def _one_of(value, names: tuple[str, ...]) -> str | None:
    return None if value in names else f"it must be one of {', '.join(names)}"


def _optional(check: Callable[..., str | None]) -> Callable[..., str | None]:
    return lambda value, *bounds, **named: None if value is None else check(value, *bounds, **named)


def _val_size(value) -> str | None:
    problem = _number(value, above=0)
    if problem is None and not isinstance(value, int) and value >= 1:
        return "a share must be below 1 (and a count a whole number)"
    return problem


# What each setting must be. A setting that is missing here is checked where it is used.
CHECKS: dict[str, Callable[[object], str | None]] = {
    "lr": lambda value: _number(value, above=0),
    "batch_size": lambda value: _integer(value, 1),
    "epochs": lambda value: _integer(value, 1),
    "seed": lambda value: _integer(value, 0, 2**32 - 1),
    "label_smoothing": lambda value: _number(value, 0, 0.99),
    "grad_clip": lambda value: _optional(_number)(value, above=0),
    "ema": lambda value: _optional(_number)(value, above=0, high=0.99999),
    "monitor": lambda value: _one_of(value, MONITORS),
    "progress": lambda value: _one_of(value, PROGRESS),
    "on_change": lambda value: _one_of(value, ON_CHANGE),
    "early_stop.monitor": lambda value: _optional(_one_of)(value, MONITORS),
    "early_stop.patience": lambda value: _integer(value, 0),
    "early_stop.min_delta": lambda value: _number(value, 0),
    "trainer.matmul_precision": lambda value: _one_of(value, MATMUL_PRECISIONS),
    "data.val_size": _val_size,
    "data.train_fraction": lambda value: _number(value, above=0, high=1),
}


def check_value(key: str, value: object) -> None:
    """Raise InputError if `value` cannot be what the setting `key` (dots between levels) is given."""
    problem = CHECKS[key](value) if key in CHECKS else None
    if problem:
        raise InputError(f"{key}={value}: {problem}")


def check(cfg: Mapping) -> None:
    """Raise InputError for the first setting of a composed config that cannot be."""
    for key in CHECKS:
        value = cfg
        for part in key.split("."):
            if part not in value:
                raise unknown("setting", key, value)
            value = value[part]
        check_value(key, value)
