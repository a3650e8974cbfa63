"""``python -m mnist_zoo.report outputs/sweeps/<name>``: tables, statistics and plots of finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from mnist_zoo.command import one_line_errors


def main() -> None:
    """Entry point of ``python -m mnist_zoo.report`` and ``mnist-zoo-report``."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_zoo.report",
        description="Write report.html (opens offline), report.md, plots and CSV tables of finished runs.",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="sweeps, searches or run folders")
    parser.add_argument("--out", type=Path, help="where to write (default: report/ in the first folder)")
    parser.add_argument("--data-root", type=Path, help="folder of the images, if not where the runs found them")
    arguments = parser.parse_args()
    with one_line_errors():
        from mnist_zoo.report.page import write_report  # here: --help and a wrong option need not wait for it

        page = write_report(arguments.folders, arguments.out, arguments.data_root)
        print(f"report: {page} (and report.md, figures/ and CSV tables beside it)")


if __name__ == "__main__":
    main()
