"""CSV files as Kaggle's Digit Recognizer has them: a header, then ``label,pixel0,...,pixel783`` in each row."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import InputError

PIXELS = 28 * 28


@register_dataset("csv")
def csv_files(root: Path, train_csv: str | None = None, test_csv: str | None = None) -> ImageSet:
    """Return the images of two CSV files. `root` is not used.

    Without `test_csv`, a seventh of the rows (MNIST's own share) is the test set, in a fixed stratified split.

    Raises:
        InputError: if a file is missing or malformed; the message names the file and, where possible, the line.
    """
    if train_csv is None:
        raise InputError("data=csv needs data.train_csv=FILE (and optionally data.test_csv=FILE)")
    images, labels = read_csv(Path(train_csv))
    if test_csv is not None:
        return ImageSet(images, labels, *read_csv(Path(test_csv)))
    train, test = stratified_split(labels, round(len(labels) / 7), seed=0)
    return ImageSet(images[train], labels[train], images[test], labels[test])


def read_csv(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images uint8 ``(N, 28, 28)`` and labels uint8 ``(N,)`` from a file with a header.

    Raises:
        InputError: if the file is missing or malformed; the message names the file and, where possible, the line.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: name the CSV with data.train_csv=FILE and data.test_csv=FILE")
    try:
        # Characters outside ASCII are escaped: some of them crash the process in numpy 2.4's parser of integers.
        with path.open(encoding="ascii", errors="backslashreplace") as file:
            header = file.readline().strip().split(",")
            _check_header(path, header)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*input contained no data")
                rows = np.loadtxt(file, dtype=np.uint8, delimiter=",", ndmin=2)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}{_problem(str(error))}") from error
    if not len(rows):
        raise InputError(f"{path}: there are no rows after the header")
    if rows.shape[1] != len(header):
        raise InputError(f"{path}: rows of {rows.shape[1]} values under a header of {len(header)}")
    images, labels = rows[:, 1:].reshape(-1, 28, 28), rows[:, 0]
    if labels.max() > 9:
        row = int(np.argmax(labels > 9))
        raise InputError(f"{path}, line {row + 2}: label {labels[row]} is outside 0-9")
    return images, labels


def _check_header(path: Path, header: list[str]) -> None:
    """Raise InputError unless the first line names a label and 784 pixels."""
    if header[0].strip('"').lower() != "label":
        raise InputError(f"{path}: the first line must be label,pixel0,...: it starts with '{header[0][:20]}'")
    if len(header) - 1 != PIXELS:
        raise InputError(f"{path}: {len(header) - 1} pixel columns; {PIXELS} (28x28) are expected")


def _problem(message: str) -> str:
    """Return numpy's message with a line number of the file in place of its row number."""
    found = re.match(r"(.*?) at row (\d+)", message)
    if not found:
        return f": {message}"
    # The header is line 1. numpy counts rows from 1 where the number of columns changes, and from 0 elsewhere.
    line = int(found[2]) + (1 if "changed" in message else 2)
    return f", line {line}: {found[1]}"
