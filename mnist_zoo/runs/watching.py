"""``status --watch``: the table of a sweep, updated until nothing is in progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from mnist_zoo.errors import InputError
from mnist_zoo.runs.status import RunStatus, in_progress, sweep_status, table

INTERVAL = 2.0  # seconds between two tables
PATIENCE = 60.0  # seconds to wait for a folder of a sweep that was started at the same time


def watch(folders: Sequence[str]) -> list[RunStatus]:
    """Show the table until no run is in progress and no process works on a sweep; return its rows.

    A folder that is not there yet is waited for: a sweep writes it some seconds after it was started.

    Raises:
        InputError: if there is no run and no sweep after `PATIENCE` seconds.
    """
    statuses = wait_for(folders)
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        live.update(Text(table(statuses)), refresh=True)
        while in_progress(folders, statuses):
            time.sleep(INTERVAL)
            statuses = sweep_status(folders)
            live.update(Text(table(statuses)), refresh=True)
    left = sum(status.state not in ("finished", "damaged") for status in statuses)
    if left:
        print(f"no process works on the {left} that {'is' if left == 1 else 'are'} not finished: --watch ends")
    return statuses


def wait_for(folders: Sequence[str]) -> list[RunStatus]:
    """Return the state of the runs, at the latest after `PATIENCE` seconds."""
    deadline, said = time.monotonic() + PATIENCE, False
    while True:
        try:
            return sweep_status(folders)
        except InputError as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                print(f"{error}: waiting for it (at most {PATIENCE:g} s)", file=sys.stderr, flush=True)
            said = True
            time.sleep(min(INTERVAL, 0.5))
