"""Reading run folders."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from mnist_zoo.errors import InputError

if TYPE_CHECKING:
    import numpy as np


def read_curves(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run's ``curves.csv``, as numbers; empty if there is none."""
    try:
        text = (Path(folder) / "curves.csv").read_text()
    except FileNotFoundError:
        return []
    rows = csv.DictReader(io.StringIO(text))
    return [{key: int(value) if key == "epoch" else float(value) for key, value in row.items()} for row in rows]


def read_json(path: Path) -> dict | None:
    """Return the JSON object in a file, or None if the file is missing, cut short or something else."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def read_metrics(folder: Path) -> dict | None:
    """Return a finished run's ``metrics.json``, or None for a run that is not finished."""
    return read_json(Path(folder) / "metrics.json")


def in_use(folder: Path) -> bool:
    """Return whether a process owns this run folder now."""
    path = Path(folder) / ".lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def find_runs(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Yield every run folder (it holds a ``status.json``) at or below the given folders, in sorted order."""
    for folder in folders:
        for root, directories, files in os.walk(folder):
            directories.sort()
            if "status.json" in files:
                directories.clear()
                yield Path(root)


def read_predictions(folder: str | Path) -> dict[str, np.ndarray]:
    """Return a run's ``logits`` (float32 ``(N, C)``) and ``labels`` (``(N,)``) of the test set, ``val_...`` likewise.

    Raises:
        InputError: if ``predictions.npz`` is missing or damaged.
    """
    import numpy as np  # here: commands that only read JSON answer without it

    path = Path(folder) / "predictions.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {key: arrays[key] for key in ("logits", "labels", "val_logits", "val_labels")}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}): delete its folder and run it again"
        ) from error
