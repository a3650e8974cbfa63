"""Find and read run folders."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from mnist_zoo.errors import InputError

if TYPE_CHECKING:
    import numpy as np

PREDICTION_ARRAYS = ("logits", "labels", "val_logits", "val_labels")


def find_runs(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Yield every run folder (it holds a ``status.json``) at or below the given folders, in sorted order."""
    for folder in folders:
        for root, directories, files in os.walk(folder):
            directories.sort()
            if "status.json" in files:
                directories.clear()
                yield Path(root)


def in_use(folder: str | Path) -> bool:
    """Return whether a process owns this run folder now."""
    path = Path(folder) / ".lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None if the file is missing, damaged or holds something else."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def read_metrics(folder: str | Path) -> dict[str, Any] | None:
    """Return the ``metrics.json`` of a finished run, or None if the run is not finished."""
    return read_json(Path(folder) / "metrics.json")


def read_curves(folder: str | Path) -> list[dict[str, float]]:
    """Return the rows of ``curves.csv`` as numbers, one dict for each epoch. The list is empty if there is no file."""
    try:
        text = (Path(folder) / "curves.csv").read_text()
    except FileNotFoundError:
        return []
    rows = csv.DictReader(io.StringIO(text))
    return [{key: int(value) if key == "epoch" else float(value) for key, value in row.items()} for row in rows]


def read_predictions(folder: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of ``predictions.npz``.

    Returns:
        ``logits`` (float32, shape ``(N, classes)``) and ``labels`` (shape ``(N,)``) of the test split, ``val_logits``
        and ``val_labels`` of the validation split.

    Raises:
        InputError: if the file is missing or damaged.
    """
    import numpy as np  # here: --help and status need not wait for it

    path = Path(folder) / "predictions.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {key: arrays[key] for key in PREDICTION_ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}): delete its folder and run it again"
        ) from error
