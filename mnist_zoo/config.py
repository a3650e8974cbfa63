"""What a config must satisfy, checked before anything heavy is imported, and what identifies a job."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from numbers import Real

from mnist_zoo import __version__
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


# What cannot change a result: where things lie, what is shown, and how to go on.
NEUTRAL = ("output_dir", "sweep", "resume", "on_change", "debug", "progress", "logger", "plugins", "experiment")


def comparable(cfg: Mapping) -> dict:
    """Return what of a resolved config can change a result: without paths, loggers and display."""
    config = {key: value for key, value in cfg.items() if key not in NEUTRAL}
    config["data"] = {key: value for key, value in cfg["data"].items() if key not in ("root", "train_csv", "test_csv")}
    return config


def differences(old: Mapping, new: Mapping, prefix: str = "") -> list[str]:
    """Return ``key: old -> new`` for every setting in which two configs differ."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def identity(cfg: Mapping, data_fingerprint: str) -> str:
    """Return 16 hexadecimal digits that are equal for two jobs whose results must be equal.

    They cover the resolved config (without paths, loggers and display), the data, and the library's version.
    """
    text = json.dumps([comparable(cfg), data_fingerprint, __version__], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def cores() -> int:
    """Return how many cores this process may use: those of a container or a batch job, not of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
