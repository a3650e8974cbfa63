"""``python -m mnist_zoo.status outputs/sweeps/<name>``: where a sweep stands, or every run below a folder."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.runs import find_runs, in_use, read_json, read_metrics

STATES = ("finished", "running", "interrupted", "failed", "to do")


@dataclass(frozen=True)
class RunStatus:
    """One run or job: its folder's name, its state (one of `STATES`), a detail in words, its accuracies if finished."""

    name: str
    state: str
    detail: str
    val_acc: float | None = None
    test_acc: float | None = None


def run_status(folder: Path) -> RunStatus:
    """Return where the run in a folder stands.

    ``running`` means that a process holds the folder's lock now; a run whose process is gone is ``interrupted``.
    """
    metrics = read_metrics(folder)
    if metrics is not None:
        detail = f"val {metrics['val_acc']:.4f}  test {metrics['test_acc']:.4f}  {metrics['epochs_run']} epochs"
        return RunStatus(folder.name, "finished", detail, metrics["val_acc"], metrics["test_acc"])
    status = read_json(folder / "status.json")
    if status is None:
        return RunStatus(folder.name, "running" if in_use(folder) else "to do", "")
    epoch, epochs = status.get("epoch", 0), status.get("epochs", "?")
    at = f"epoch {epoch} of {epochs}"
    if in_use(folder):
        each = status.get("seconds_per_epoch")
        left = f", {_duration(each * (epochs - epoch))} left" if each and epochs != "?" else ""
        return RunStatus(folder.name, "running", at + left)
    if status.get("state") == "failed" and not str(status.get("reason")).startswith("KeyboardInterrupt"):
        return RunStatus(folder.name, "failed", f"{status.get('reason')} ({at})")
    return RunStatus(folder.name, "interrupted", at)


def sweep_status(folders: Iterable[str | Path]) -> list[RunStatus]:
    """Return the status of every run below the folders, and of the jobs that a sweep there has still to start.

    Raises:
        InputError: if a folder is not there, or nothing in it is a run or a sweep.
    """
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
        before = len(found)
        for sweep in sorted({folder, *(path.parent for path in folder.rglob("sweep.json"))}):
            found |= dict.fromkeys(sweep / name for name in (read_json(sweep / "sweep.json") or {}).get("jobs", []))
        found |= dict.fromkeys(find_runs([folder]))
        if len(found) == before:
            raise InputError(f"{folder} holds no run and no sweep")
    return [run_status(path) for path in found]


def table(statuses: Sequence[RunStatus]) -> str:
    """Return a line a run, in the order of `STATES`, then the counts and the best run by validation accuracy."""
    lines = []
    for state in STATES:
        lines += [f"{state:12} {status.name}  {status.detail}".rstrip() for status in statuses if status.state == state]
    counts = {state: sum(status.state == state for status in statuses) for state in STATES}
    lines.append("")
    lines.append(f"{len(statuses)} runs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))
    finished = [status for status in statuses if status.val_acc is not None]
    if finished:
        best = max(finished, key=lambda status: status.val_acc)
        lines.append(f"best by validation: {best.name}  {best.detail}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def main() -> None:
    """Entry point of ``python -m mnist_zoo.status`` and ``mnist-zoo-status``."""
    parser = argparse.ArgumentParser(
        prog="mnist-zoo-status", description="Say where a sweep, or the runs below a folder, stand."
    )
    parser.add_argument("folders", nargs="+", help="outputs/sweeps/<name>, or any folder above run folders")
    parser.add_argument(
        "--watch", action="store_true", help="show it again every 2 seconds, until nothing runs or Ctrl-C"
    )
    arguments = parser.parse_args()
    try:
        statuses = sweep_status(arguments.folders)
        if arguments.watch:
            _watch(arguments.folders)
        else:
            print(table(statuses))
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _watch(folders: Sequence[str]) -> None:
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(auto_refresh=False) as live:
            while True:
                statuses = sweep_status(folders)
                live.update(Text(table(statuses)), refresh=True)
                if not any(status.state == "running" for status in statuses):
                    return
                time.sleep(2)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
