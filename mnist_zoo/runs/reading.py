"""Find run folders, and read their files.

Each file has one reader, which checks all that the file holds. It returns None (or something empty) if the file is
missing, and raises `DamagedFile` if it is there but does not hold what it must.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mnist_zoo.errors import InputError, ZooError, printable
from mnist_zoo.runs.records import (
    CONFIG_FILE,
    CURVE_COLUMNS,
    CURVES_FILE,
    EVALUATION_FILE,
    JOB,
    METRICS,
    OVERRIDES_FILE,
    PREDICTIONS_FILE,
    STATUS,
    STATUS_FILE,
    SWEEP,
    Record,
    is_amount,
    is_fraction,
    is_number,
    is_text,
    too_much,
)

LARGEST = 16 * 1024**2  # bytes of a JSON or CSV file
LARGEST_YAML = 256 * 1024  # bytes; YAML is read slowly
Content = TypeVar("Content", list, dict)
NEW_RUN = "start a new run"
CURVE_CHECKS = {
    "lr": is_amount,
    **dict.fromkeys(("train_loss", "val_loss"), is_number),
    **dict.fromkeys(("train_acc", "val_acc"), is_fraction),
    **dict.fromkeys(("seconds", "images_per_second"), is_amount),
}


class DamagedFile(InputError):
    """A file of a run folder does not hold what it must.

    Args:
        path: the file.
        what: what is wrong.
        cure: what to do.
    """

    def __init__(self, path: str | Path, what: str, cure: str):
        super().__init__(f"{path} is damaged ({what}): {cure}")
        self.path, self.what, self.cure = Path(path), what, cure


class DamagedRuns(ZooError):
    """Some folders are damaged and were skipped. The work is done for all others."""


class Damaged:
    """Lets a command do its work for all folders but the damaged ones::

        damaged = Damaged()
        for folder in folders:
            with damaged.skipped(folder):
                print(read_metrics(folder))
        damaged.stop()

    Attributes:
        folders: the error of each damaged folder.
    """

    def __init__(self) -> None:
        self.folders: dict[Path, DamagedFile] = {}

    @contextmanager
    def skipped(self, folder: str | Path) -> Iterator[None]:
        """Leave the block if it raises `DamagedFile`, and name the folder on stderr, once."""
        try:
            yield
        except DamagedFile as error:
            if self.folders.setdefault(Path(folder), error) is error:
                print(f"skipped: {printable(error)}", file=sys.stderr)

    def stop(self) -> None:
        """Raise `DamagedRuns`, with which the command ends with status 1, if a folder was skipped."""
        count = len(self.folders)
        if count:
            raise DamagedRuns(f"{count} damaged folder{'s were' if count > 1 else ' was'} skipped")


def find_runs(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Yield every run folder (it holds a ``status.json``) at or below the given folders, in sorted order."""
    for folder in folders:
        for root, directories, files in os.walk(folder):
            directories.sort()
            if STATUS_FILE in files:
                directories.clear()
                yield Path(root)


def find_measured(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Yield every folder at or below the given ones with an ``evaluation.json`` that is no run's, in sorted order.

    ``python -m mnist_zoo.evaluate --out`` makes them, for ensembles for instance.
    """
    for folder in folders:
        for root, directories, files in os.walk(folder):
            directories.sort()
            if STATUS_FILE in files:
                directories.clear()
            elif EVALUATION_FILE in files:
                yield Path(root)


def read_status(folder: str | Path) -> dict[str, Any] | None:
    """Return the ``status.json`` of a run; None if there is none. Raises `DamagedFile`."""
    return read_record(folder, STATUS)


def read_metrics(folder: str | Path) -> dict[str, Any] | None:
    """Return the ``metrics.json`` of a finished run; None if the run is not finished. Raises `DamagedFile`."""
    record = read_record(folder, METRICS)
    if record is not None and not is_text(json.dumps(record, ensure_ascii=False)):
        raise DamagedFile(Path(folder) / METRICS.name, "a text in it cannot be written", METRICS.cure)
    return record


def read_result(folder: str | Path) -> dict[str, Any] | None:
    """Return what `read_metrics` returns. The predictions of a finished run must be there, too.

    Raises:
        DamagedFile: if ``metrics.json`` is damaged, or there are metrics but no file ``predictions.npz``.
    """
    metrics, predictions = read_metrics(folder), Path(folder) / PREDICTIONS_FILE
    if metrics is not None and not predictions.is_file():
        raise DamagedFile(predictions, "there is no such file", METRICS.cure)
    return metrics


def read_job(folder: str | Path) -> dict[str, Any] | None:
    """Return the ``job.json`` of a job of a sweep; None if there is none. Raises `DamagedFile`."""
    return read_record(folder, JOB)


def read_sweep(folder: str | Path) -> list[str]:
    """Return the names of the jobs' folders in the ``sweep.json`` of a sweep; empty if there is none.

    Each name is that of a folder in the folder of the sweep. Raises `DamagedFile`.
    """
    record = read_record(folder, SWEEP)
    return [] if record is None else record["jobs"]


def read_overrides(folder: str | Path) -> list[str]:
    """Return the overrides in ``.hydra/overrides.yaml``; empty for a run that another program started.

    Raises:
        DamagedFile: if the file is not a list of texts.
    """
    overrides = _read_yaml(Path(folder) / OVERRIDES_FILE, list)
    if not all(map(is_text, overrides)):
        raise DamagedFile(Path(folder) / OVERRIDES_FILE, "it is not a list of texts", NEW_RUN)
    return overrides


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the configuration in ``.hydra/config.yaml``, not resolved; empty for a run that another program started.

    Raises:
        DamagedFile: if the file is not a mapping.
    """
    return _read_yaml(Path(folder) / CONFIG_FILE, dict)


def read_curves(folder: str | Path) -> list[dict[str, float]]:
    """Return the rows of ``curves.csv`` as numbers, one dict for each epoch; empty if there is no file.

    Raises:
        DamagedFile: if a column is missing, a number is invalid, or an epoch is missing.
    """
    path, cure = Path(folder) / CURVES_FILE, "delete the file, or continue the run, which writes it again"
    text = read_text(path, LARGEST, cure)
    if text is None:
        return []
    try:
        header, *lines = csv.reader(io.StringIO(text), strict=True)
    except (csv.Error, ValueError) as error:
        raise DamagedFile(path, str(error) if isinstance(error, csv.Error) else "it is empty", cure) from error
    if tuple(header) != CURVE_COLUMNS:
        raise DamagedFile(path, "its first line does not name the columns", cure)
    return [_curve_row(line, number, path, cure) for number, line in enumerate(lines, 1)]


def _curve_row(line: list[str], number: int, path: Path, cure: str) -> dict[str, float]:
    """Return the row of an epoch, counted from 1."""
    try:
        row = {key: int(cell) if key == "epoch" else float(cell) for key, cell in zip(CURVE_COLUMNS, line, strict=True)}
    except ValueError as error:
        raise DamagedFile(path, f"line {number + 1}: {error}", cure) from error
    wrong = [key for key, check in CURVE_CHECKS.items() if not check(row[key])]
    if wrong or row["epoch"] != number:
        raise DamagedFile(path, f"line {number + 1}: {wrong[0] if wrong else 'epoch'} is invalid", cure)
    return row


def read_record(folder: str | Path, kind: Record) -> dict[str, Any] | None:
    """Return the checked JSON object in a file of a folder, or None if there is no file. Raises `DamagedFile`."""
    path = Path(folder) / kind.name
    text = read_text(path, LARGEST, kind.cure)
    if text is None:
        return None
    try:
        record = json.loads(text)
    except RecursionError as error:
        raise DamagedFile(path, "it is nested too deep", kind.cure) from error
    except ValueError as error:
        raise DamagedFile(path, f"it is not JSON: {error}", kind.cure) from error
    problem = (too_much(record) or kind.problem(record)) if isinstance(record, dict) else "it is not a JSON object"
    if problem is not None:
        raise DamagedFile(path, problem, kind.cure)
    return record


def _read_yaml(path: Path, kind: type[Content]) -> Content:
    """Return the list or dict in a YAML file, made of dicts, lists, texts, numbers and None; empty without a file."""
    import yaml  # here: status need not wait for it

    text = read_text(path, LARGEST_YAML, NEW_RUN)
    if text is None:
        return kind()
    try:
        content = yaml.safe_load(text)
    except RecursionError as error:
        raise DamagedFile(path, "it is nested too deep", NEW_RUN) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise DamagedFile(path, f"it is not YAML: {' '.join(str(error).split())[:100]}", NEW_RUN) from error
    problem = too_much(content) if isinstance(content, kind) else f"it is not a {kind.__name__}"
    if problem is not None:
        raise DamagedFile(path, problem, NEW_RUN)
    return content


def read_text(path: Path, largest: int, cure: str) -> str | None:
    """Return the text of a file, or None if there is no file."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for
            raise DamagedFile(path, "it is not a regular file", cure)
        if about.st_size > largest:
            raise DamagedFile(path, f"it is larger than {largest // 1024} kB", cure)
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedFile(path, f"it cannot be read: {error.strerror}", cure) from error
    except UnicodeDecodeError as error:
        raise DamagedFile(path, "it is not text", cure) from error
