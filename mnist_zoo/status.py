"""``python -m mnist_zoo.status outputs/sweeps/<name>``: the state of a sweep, or of every run below a folder."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from mnist_zoo.command import one_line_errors
from mnist_zoo.runs.status import require_sound, sweep_status, table

INTERVAL = 2  # seconds between two tables of --watch


def main() -> None:
    """Entry point of ``python -m mnist_zoo.status`` and ``mnist-zoo-status``."""
    parser = argparse.ArgumentParser(
        prog="mnist-zoo-status", description="Show the state of a sweep, or of the runs below a folder."
    )
    parser.add_argument("folders", nargs="+", help="outputs/sweeps/<name>, or any folder that contains run folders")
    parser.add_argument(
        "--watch", action="store_true", help=f"update every {INTERVAL} seconds until no run is in progress, or Ctrl-C"
    )
    arguments = parser.parse_args()
    with one_line_errors():
        if arguments.watch:
            _watch(arguments.folders)
        else:
            statuses = sweep_status(arguments.folders)
            print(table(statuses))
            require_sound(statuses)


def _watch(folders: Sequence[str]) -> None:
    statuses = sweep_status(folders)
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(auto_refresh=False) as live:
            live.update(Text(table(statuses)), refresh=True)
            while any(status.state == "running" for status in statuses):
                time.sleep(INTERVAL)
                statuses = sweep_status(folders)
                live.update(Text(table(statuses)), refresh=True)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
