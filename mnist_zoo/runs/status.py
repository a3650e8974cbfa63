"""The state of a run, and of every run of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_zoo.errors import InputError, printable
from mnist_zoo.runs.locks import in_use, swept
from mnist_zoo.runs.reading import DamagedFile, DamagedRuns, find_runs, read_metrics, read_status, read_sweep
from mnist_zoo.runs.records import SWEEP_FILE

STATES = ("finished", "running", "interrupted", "failed", "damaged", "to do")


@dataclass(frozen=True)
class RunStatus:
    """The state of one run.

    Attributes:
        name: the name of its folder.
        state: one of `STATES`.
        detail: progress, accuracies, the reason of a failure, or what is damaged, as text.
        val_acc: validation accuracy as a fraction, if finished.
        test_acc: test accuracy as a fraction, if finished.
    """

    name: str
    state: str
    detail: str
    val_acc: float | None = None
    test_acc: float | None = None


def run_status(folder: Path) -> RunStatus:
    """Return the state of the run in a folder.

    ``running`` means that a process holds the lock of the folder now. A run whose process was killed is
    ``interrupted``. ``damaged`` means that a file does not hold what it must; such a run has no accuracies.
    """
    try:
        return _state_of(folder)
    except DamagedFile as error:
        return RunStatus(folder.name, "damaged", f"{error.path.name}: {error.what}; {error.cure}")


def _state_of(folder: Path) -> RunStatus:
    """Return the state of a run, or raise `DamagedFile`."""
    metrics = read_metrics(folder)
    if metrics is not None:
        epochs = f"  {metrics['epochs_run']} epochs" if "epochs_run" in metrics else ""
        detail = f"val {metrics['val_acc']:.4f}  test {metrics['test_acc']:.4f}{epochs}"
        return RunStatus(folder.name, "finished", detail, metrics["val_acc"], metrics["test_acc"])
    status = read_status(folder)
    if status is None:
        return RunStatus(folder.name, "running" if in_use(folder) else "to do", "")
    progress = progress_of(status)
    if in_use(folder):
        seconds, of = status.get("seconds_per_epoch"), status.get("epochs")
        left = f", {_duration(seconds * (of - status.get('epoch', 0)))} left" if seconds and of else ""
        return RunStatus(folder.name, "running", progress + left)
    # Version 0.1.0 wrote "failed" after Ctrl-C and termination signals, too.
    if status.get("state") == "failed" and not str(status.get("reason")).startswith("KeyboardInterrupt"):
        return RunStatus(folder.name, "failed", f"{status.get('reason')} ({progress})")
    return RunStatus(folder.name, "interrupted", progress)


def progress_of(status: Mapping[str, Any]) -> str:
    """Return how far an unfinished run is: its epoch, or what a classical model, which has no epochs, is doing."""
    return str(status.get("doing") or f"epoch {status.get('epoch', 0)} of {status.get('epochs', '?')}")


def sweep_status(folders: Iterable[str | Path]) -> list[RunStatus]:
    """Return the state of every run below the folders, including jobs of a sweep that have not started.

    Raises:
        InputError: if a folder does not exist, or contains neither a run nor a sweep.
    """
    found: dict[Path, RunStatus | None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
        own: dict[Path, RunStatus | None] = {}
        for sweep in _sweeps(folder):
            try:
                jobs = read_sweep(sweep)
            except DamagedFile as error:
                own[sweep] = RunStatus(sweep.name, "damaged", f"{error.path.name}: {error.what}; {error.cure}")
            else:
                own |= dict.fromkeys(sweep / name for name in jobs)
        own |= dict.fromkeys(find_runs([folder]))
        if not own:
            raise InputError(f"{folder} holds no run and no sweep")
        found |= own
    return [status or run_status(path) for path, status in found.items()]


def _sweeps(folder: Path) -> list[Path]:
    """Return a folder and all sweeps below it."""
    return sorted({folder, *(path.parent for path in folder.rglob(SWEEP_FILE))})


def table(statuses: Sequence[RunStatus]) -> str:
    """Return one line for each run, in the order of `STATES`, then the counts and the best run by validation."""
    lines = []
    for state in STATES:
        rows = [status for status in statuses if status.state == state]
        lines += [printable(f"{state:12} {row.name}  {row.detail}".rstrip()) for row in rows]
    counts = {state: sum(status.state == state for status in statuses) for state in STATES}
    lines.append("")
    lines.append(f"{len(statuses)} runs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))
    finished = [(status.val_acc, status) for status in statuses if status.val_acc is not None]
    if finished:
        _, best = max(finished, key=lambda pair: pair[0])
        lines.append(printable(f"best by validation: {best.name}  {best.detail}"))
    return "\n".join(lines)


def in_progress(folders: Iterable[str | Path], statuses: Iterable[RunStatus]) -> bool:
    """Return whether a run of the folders is in progress, or a process works on a sweep at or below them."""
    if any(status.state == "running" for status in statuses):
        return True
    return any(swept(path) for folder in map(Path, folders) for path in _sweeps(folder))


def require_sound(statuses: Iterable[RunStatus]) -> None:
    """Raise `DamagedRuns` if a run or a sweep is damaged."""
    count = sum(status.state == "damaged" for status in statuses)
    if count:
        raise DamagedRuns(f"{count} damaged folder{'s' if count > 1 else ''}: see above")


def _duration(seconds: float) -> str:
    """Return ``1 h 02 min``, ``3 min 30 s`` or ``12 s``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s" if minutes else f"{left} s"
