"""What identifies a run: the settings that can change its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from mnist_zoo import __version__

# What cannot change a result: where things lie, what is shown, and how to go on.
NEUTRAL = (
    "output_dir",
    "sweep",
    "resume",
    "on_change",
    "debug",
    "progress",
    "logger",
    "plugins",
    "experiment",
    "speed",
)


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
