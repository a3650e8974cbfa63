"""``report --live``: the report, written again while runs are in progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_zoo.runs.status import STATES, RunStatus, in_progress, sweep_status
from mnist_zoo.runs.watching import wait_for

INTERVAL = 2.0  # seconds between two looks at the folders
SHARE = 0.2  # of the time that writing takes at most, so that training keeps the processor


def write_while_running(
    folders: Sequence[str], write: Callable[[str], Path], opened: Callable[[Path], None] = lambda page: None
) -> Path:
    """Write the report whenever a run has changed, and once more when no run is in progress; return the page.

    Args:
        folders: sweeps or run folders; those that are not there yet are waited for.
        write: writes the report; its argument says how far the runs are, and is empty the last time.
        opened: called with the first page.

    Raises:
        InputError: if there is no run after a minute, or none is finished when none is in progress any more.
    """
    statuses, written, shown, earliest = wait_for(folders), None, False, 0.0
    if not _any_finished(statuses):
        print("waiting for the first finished run ...", flush=True)
    while in_progress(folders, statuses):
        started, seen = time.monotonic(), [(status.name, status.state) for status in statuses]
        if seen != written and _any_finished(statuses) and started >= earliest:
            page, written = write(progress_line(statuses)), seen
            earliest = time.monotonic() + (time.monotonic() - started) / SHARE
            if not shown:
                opened(page)
            shown = True
        time.sleep(INTERVAL)
        statuses = sweep_status(folders)
    page = write("")
    if not shown:
        opened(page)
    return page


def _any_finished(statuses: Sequence[RunStatus]) -> bool:
    return any(status.state == "finished" for status in statuses)


def progress_line(statuses: Sequence[RunStatus]) -> str:
    """Return how many runs are in which state, how far those in progress are, and the time."""
    counts = {state: sum(status.state == state for status in statuses) for state in STATES}
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    running = [f"{status.name}: {status.detail}" for status in statuses if status.state == "running" and status.detail]
    now = f" In progress: {'; '.join(running)}." if running else ""
    return f"{len(statuses)} runs: {words}.{now} Written at {time.strftime('%H:%M:%S')}."
