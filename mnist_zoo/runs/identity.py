"""The identity of a run: the settings that can change its result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mnist_zoo import __version__
from mnist_zoo.runs.folder import RunFolder

# Settings that cannot change a result: paths, display, speed, and how to continue.
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
IMAGE_SIZE = "model.image_size"  # null, the default since 0.2.0, is the size of the images: the fingerprint covers it
PRECISION, AUTO = "trainer.precision", "auto"  # what a run with `auto` chose is recorded in place of it
CONTENT = "pretrained_content"  # recorded beside ``pretrained``: a file may be replaced by one of the same name
DEVICE = "trainer.accelerator"  # results are the same but for rounding: a run from a GPU may be continued on a CPU
NEUTRAL_DATA = ("root", "train_csv", "test_csv")  # keys of ``data``: the fingerprint of the data identifies them

# Settings that earlier versions do not have, with the value that does what they did. With it, a run is as theirs.
ADDED: dict[str, Any] = {
    "loss.name": "cross_entropy",
    "callbacks": [],
    "adversary.name": "none",
    "adversary.warmup": 0,
    "pretrained": None,
    **{f"augment.{key}": 0.0 for key in ("mask", "elastic", "stroke", "blur", "background", "noise")},
    "data.folds": None,
    "data.fold": None,
    "data.epoch_images": None,
}

ORIGIN = ("config", "data_fingerprint", "version")  # what a run is made with, in status.json and in checkpoints

# The override that lets the split vary with the seed: as typed, and as a sweep hands it to its jobs.
SPLIT_BY_SEED = ("data.split_seed=${seed}", r"data.split_seed=$\{seed\}")


def split_varies(overrides: Iterable[str]) -> bool:
    """Return whether a run was asked to draw another split for each seed: its split is then no setting of its own."""
    return any(override.lstrip("+") in SPLIT_BY_SEED for override in overrides)


def is_neutral(override: str) -> bool:
    """Return whether an override (``key=value``) cannot change a result: its key is neutral, or one of Hydra's."""
    key = override.lstrip("+~").partition("=")[0]
    top, _, rest = key.replace("/", ".").partition(".")
    return top in (*NEUTRAL, "hydra") or (top == "data" and rest in NEUTRAL_DATA)


def comparable(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that can change a result.

    With ``pretrained=PATH``, ``pretrained_content`` is added: 16 hexadecimal digits of the file that is there now.
    """
    config = {key: value for key, value in cfg.items() if key not in NEUTRAL}
    config["data"] = {key: value for key, value in cfg["data"].items() if key not in NEUTRAL_DATA}
    content = _content(cfg.get("pretrained"))
    return without_added(config | ({} if content is None else {CONTENT: content}))


def _content(source: object) -> str | None:
    """Return the digest of the weights that training starts from; None if there is no such file.

    Weights that are shipped have none: the version of the library says which they are.
    """
    if not isinstance(source, str):
        return None
    path = Path(os.path.expanduser(source))
    try:
        path = RunFolder(path).best_checkpoint if path.is_dir() else path
        if not path.is_file():
            return None
        found = path.stat()
        return _digest(path, found.st_mtime_ns, found.st_size)
    except OSError:  # whoever reads the weights says so
        return None


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Return the digest of a file. The jobs of a sweep share it as long as time and size are the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def without_added(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the settings that earlier versions do not have and that change nothing."""
    kept = {key: dict(value) if isinstance(value, Mapping) else value for key, value in cfg.items()}
    for path, unchanged in ADDED.items():
        group, _, key = path.rpartition(".")
        settings = kept.get(group) if group else kept
        if isinstance(settings, dict) and key in settings and settings[key] == unchanged:
            del settings[key]
            if not settings:
                del kept[group]
    return kept


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return ``key: old -> new`` for each setting in which two configurations differ, sorted by key.

    A setting that only one of them has counts as ``None`` in the other. An image size of None equals any, and so do
    ``trainer.precision=auto`` as the new one, every ``trainer.accelerator``, and pretrained weights whose content is
    not known (of runs up to version 0.2.0, and of files that are gone).
    """
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after and not _left_open(f"{prefix}{key}", before, after):
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def _left_open(path: str, before: object, after: object) -> bool:
    """Return whether a setting was left to the data, a measurement or the machine, so that it differs from no value."""
    return (
        path == DEVICE
        or (path in (IMAGE_SIZE, CONTENT) and None in (before, after))
        or (path == PRECISION and after == AUTO)
    )


def origin(cfg: Mapping[str, Any], data_fingerprint: str) -> dict[str, Any]:
    """Return what a run is made with: ``config`` (its comparable settings), ``data_fingerprint`` and ``version``."""
    config = json.loads(json.dumps(comparable(cfg)))  # of plain types, which every checkpoint can hold
    return {"config": config, "data_fingerprint": data_fingerprint, "version": __version__}


def identity(cfg: Mapping[str, Any], data_fingerprint: str) -> str:
    """Return 16 hexadecimal digits. They are equal for two runs that must have equal results.

    They depend on the comparable settings, the data and the version of this library.
    """
    text = json.dumps([comparable(cfg), data_fingerprint, __version__], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
