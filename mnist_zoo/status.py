"""``python -m mnist_zoo.status outputs/sweeps/<name>``: the state of a sweep, or of every run below a folder."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.runs.status import require_sound, sweep_status, table
from mnist_zoo.runs.watching import INTERVAL, watch


def main() -> None:
    """Entry point of ``python -m mnist_zoo.status`` and ``mnist-zoo-status``."""
    parser = Parser(
        prog="python -m mnist_zoo.status", description="Show the state of a sweep, or of the runs below a folder."
    )
    parser.add_argument("folders", nargs="+", help="outputs/sweeps/<name>, or any folder that contains run folders")
    parser.add_argument(
        "--watch", action="store_true", help=f"update every {INTERVAL} seconds until no run is in progress, or Ctrl-C"
    )
    arguments = parser.parse_intermixed_args()
    with one_line_errors("the runs continue without --watch"):
        if arguments.watch:
            statuses = watch(arguments.folders)
        else:
            statuses = sweep_status(arguments.folders)
            print(table(statuses))
        require_sound(statuses)


if __name__ == "__main__":
    main()
