"""What ``python -m mnist_zoo.report`` does and prints."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from mnist_zoo.report.live import write_while_running
from mnist_zoo.report.page import write_report
from mnist_zoo.runs import Damaged


def report(
    folders: Sequence[Path], out: Path | None, data_root: Path | None, *, for_paper: bool, live: bool, show: bool
) -> None:
    """Write the report, say where, and show it in the browser if asked to.

    Args:
        folders, out, data_root, for_paper: of `write_report`.
        live: whether to write it again while runs are in progress.
        show: whether to open a browser.

    Raises:
        DamagedRuns: if folders were left out; the report is written.
    """
    damaged = Damaged()

    def write(progress: str) -> Path:
        damaged.folders.clear()
        return write_report(folders, out, data_root, damaged, for_paper, progress)

    def say(page: Path) -> None:
        print(f"report: {page} (and report.md, figures/ and CSV tables beside it)", flush=True)
        if not show:
            print("next: open report.html in a browser, or add --open to this command", flush=True)
        elif not webbrowser.open(page.resolve().as_uri()):
            print(f"there is no browser here: copy {page} to a computer with one", flush=True)

    if live:
        write_while_running([*map(str, folders)], write, say)
        print("no run is in progress: the report is complete")
    else:
        say(write(""))
    damaged.stop()
