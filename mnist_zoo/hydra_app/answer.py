"""The end of a sweep: a table of its jobs by validation accuracy, the best, the failed ones, and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mnist_zoo.errors import printable
from mnist_zoo.runs.interval import interval_text

ROWS, FAILURES = 20, 10  # shown at most
VALUE_WIDTH = 32  # characters of a setting in the table


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        overrides: of the job.
        folder: its run folder.
        metrics: of the finished job.
        failure: why it has none, if it was run and failed.
    """

    overrides: Sequence[str]
    folder: Path
    metrics: Mapping[str, Any] | None = None
    failure: str | None = None


class Labels:
    """Tells the jobs of a sweep apart by the settings in which they differ."""

    def __init__(self, jobs: Sequence[Sequence[str]]):
        values: dict[str, set[str | None]] = {}
        settings = [_settings(overrides) for overrides in jobs]
        for key in dict.fromkeys(key for job in settings for key in job):
            values[key] = {job.get(key) for job in settings}
        self.keys = [key for key, found in values.items() if len(found) > 1]

    def values(self, overrides: Sequence[str]) -> dict[str, str]:
        """Return the settings of a job in which the jobs differ."""
        settings = _settings(overrides)
        return {key: settings.get(key, "") for key in self.keys}

    def text(self, overrides: Sequence[str], folder: Path) -> str:
        """Return the same as ``lr=0.1 seed=0``, or the name of the folder if there is one job only."""
        return " ".join(f"{key}={value}" for key, value in self.values(overrides).items() if value) or folder.name


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    parts = (word.lstrip("+~").partition("=") for word in overrides if not word.startswith("hydra"))
    return {key: printable(value) for key, _, value in parts}


def result_text(metrics: Mapping[str, Any]) -> str:
    """Return validation accuracy, epochs and time of a finished job in a few words."""
    epochs = metrics.get("epochs_run")  # a classical model has none
    counted = f"{epochs} epoch{'s' if epochs != 1 else ''}, " if epochs is not None else ""
    return (
        f"validation {metrics['val_acc']:.4f} ({interval_text(metrics['val_acc'], metrics['n_val'])}), "
        f"{counted}{duration(metrics['fit_seconds'])}"
    )


def duration(seconds: float) -> str:
    """Return ``7.3 s``, ``4.2 min`` or ``2.5 h``."""
    return (
        f"{seconds:.1f} s"
        if seconds < 100
        else f"{seconds / 60:.1f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def answer(outcomes: Sequence[Outcome], place: Path) -> str:
    """Return the text with which a sweep ends.

    Args:
        outcomes: of all jobs of the grid, finished before or now.
        place: the folder of the sweep.
    """
    labels = Labels([outcome.overrides for outcome in outcomes])
    finished = [outcome for outcome in outcomes if outcome.metrics is not None]
    lines: list[str] = []
    if finished:
        rows = _rows(finished, labels)
        lines += ["", *_table(rows[:ROWS])]
        if len(rows) > ROWS:
            lines.append(f"  ... and {len(rows) - ROWS} more: python -m mnist_zoo.status {shlex.quote(str(place))}")
        lines += _explanation(rows)
        lines.append(f"best by validation: {rows[0].label or rows[0].folder.name}")
        lines.append(f"  {rows[0].folder}")
    lines += _failures([outcome for outcome in outcomes if outcome.failure is not None])
    waiting = sum(outcome.metrics is None and outcome.failure is None for outcome in outcomes)
    if waiting:
        lines.append(f"not finished: {waiting} of {len(outcomes)} jobs")
    if finished:
        lines.append(f"next: python -m mnist_zoo.report {shlex.quote(str(place))} --open")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Row:
    """A configuration: one job, or several that differ in their seed only."""

    settings: dict[str, str]
    accuracies: list[float]
    interval: str
    epochs: int | None
    seconds: float
    folder: Path  # of the best job

    @property
    def accuracy(self) -> float:
        return fmean(self.accuracies)

    @property
    def label(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.settings.items() if value)


def _rows(finished: Sequence[Outcome], labels: Labels) -> list[_Row]:
    """Return the configurations, the best first."""
    groups: dict[tuple[str, ...], list[tuple[dict[str, str], Path, Mapping[str, Any]]]] = {}
    for outcome in finished:
        assert outcome.metrics is not None
        values = labels.values(outcome.overrides)
        key = tuple(value for name, value in values.items() if name != "seed")
        groups.setdefault(key, []).append((values, outcome.folder, outcome.metrics))
    several = any(len(jobs) > 1 for jobs in groups.values())
    rows = []
    for jobs in groups.values():
        settings, folder, best = max(jobs, key=lambda job: job[2]["val_acc"])
        accuracies = [metrics["val_acc"] for _, _, metrics in jobs]
        if several:
            settings = {name: value for name, value in settings.items() if name != "seed"}
            interval = f"{min(accuracies):.4f} - {max(accuracies):.4f}"
        else:
            interval = interval_text(best["val_acc"], best["n_val"])
        epochs = max((metrics["epochs_run"] for _, _, metrics in jobs if "epochs_run" in metrics), default=None)
        seconds = fmean(metrics["fit_seconds"] for _, _, metrics in jobs)
        rows.append(_Row(settings, accuracies, interval, epochs, seconds, folder))
    return sorted(rows, key=lambda row: -row.accuracy)


def _table(rows: Sequence[_Row]) -> list[str]:
    """Return the lines of the table: numbers to the right, settings to the left."""
    several = any(len(row.accuracies) > 1 for row in rows)
    keys = list(rows[0].settings)
    header = ["validation", "lowest - highest" if several else "95 % interval", *(["seeds"] if several else [])]
    cells = [[*header, "epochs", "time", *keys]]
    for row in rows:
        seeds = [str(len(row.accuracies))] if several else []
        settings = [_short(row.settings[key]) for key in keys]
        time = duration(row.seconds)
        epochs = "-" if row.epochs is None else str(row.epochs)
        cells.append([f"{row.accuracy:.4f}", row.interval, *seeds, epochs, time, *settings])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    numbers = len(cells[0]) - len(keys)
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if column < numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _short(value: str) -> str:
    return value if len(value) <= VALUE_WIDTH else value[: VALUE_WIDTH - 3] + "..."


def _explanation(rows: Sequence[_Row]) -> list[str]:
    if any(len(row.accuracies) > 1 for row in rows):
        return ["  validation: mean accuracy over the seeds, with the lowest and the highest; time: mean of one job"]
    return ["  validation: accuracy on the validation images; 95 % interval: by their number (Wilson), not over seeds"]


def _failures(failed: Sequence[Outcome]) -> list[str]:
    if not failed:
        return []
    lines = ["failed:"]
    for outcome in failed[:FAILURES]:
        lines += [f"  {outcome.folder.name}", f"      {printable(outcome.failure)}"]
    if len(failed) > FAILURES:
        lines.append(f"  ... and {len(failed) - FAILURES} more")
    if any((outcome.folder / "traceback.txt").is_file() for outcome in failed):
        lines.append("  (details: traceback.txt in their folders)")
    return lines
