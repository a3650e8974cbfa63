"""``first_epoch.csv``: the training loss of each step of the first epoch, which some runs record."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from mnist_zoo.files import write_atomically
from mnist_zoo.runs.reading import LARGEST, DamagedFile, read_text

FIRST_EPOCH_FILE, COLUMNS = "first_epoch.csv", ("step", "loss")


def write_first_epoch(folder: str | Path, losses: Iterable[float]) -> None:
    """Replace ``first_epoch.csv`` of a run folder: one row a step, counted from 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(enumerate(losses, 1))
    write_atomically(Path(folder) / FIRST_EPOCH_FILE, text.getvalue())


def read_first_epoch(folder: str | Path) -> list[float]:
    """Return the losses of the first epoch's steps; empty if the run did not record them.

    Raises:
        DamagedFile: if the columns are others, a loss is no number, or a step is missing.
    """
    path, cure = Path(folder) / FIRST_EPOCH_FILE, "delete the file"
    text = read_text(path, LARGEST, cure)
    if text is None:
        return []
    lines = text.splitlines()
    if lines[:1] != [",".join(COLUMNS)]:
        raise DamagedFile(path, "its first line does not name the columns", cure)
    losses = []
    for number, line in enumerate(lines[1:], 1):
        step, _, loss = line.partition(",")
        try:
            losses.append(float(loss))
        except ValueError as error:
            raise DamagedFile(path, f"line {number + 1}: {error}", cure) from error
        if step != str(number) or not math.isfinite(losses[-1]):
            raise DamagedFile(path, f"line {number + 1} is invalid", cure)
    return losses
