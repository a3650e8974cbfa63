"""``python -m mnist_zoo.report outputs/sweeps/<name>``: tables, statistics and plots of finished runs."""

from __future__ import annotations

from pathlib import Path

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings, path_of
from mnist_zoo.plugins import import_plugin
from mnist_zoo.speed.imports import without_collection


def main() -> None:
    """Entry point of ``python -m mnist_zoo.report`` and ``mnist-zoo-report``."""
    parser = Parser(
        prog="python -m mnist_zoo.report",
        description="Write report.html (opens offline), report.md, plots and CSV tables of finished runs.",
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="sweeps, searches or run folders")
    parser.add_argument("--out", metavar="DIR", help="where to write (default: report/ in the first folder)")
    parser.add_argument("--data-root", metavar="DIR", help="folder of the images of the runs (default: data)")
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="module that registers the data set of the runs"
    )
    parser.add_argument("--published", metavar="FILE", help="CSV file of further published numbers (docs/papers.md)")
    parser.add_argument("--paper", action="store_true", help="also write plots as SVG and PDF, and tables as LaTeX")
    parser.add_argument("--open", action="store_true", help="show report.html in the browser")
    parser.add_argument(
        "--live", action="store_true", help="write it again while runs are in progress, or until Ctrl-C"
    )
    arguments = parser.parse_intermixed_args()
    with one_line_errors("the runs continue without --live" if arguments.live else "interrupted"), one_line_warnings():
        folders = [path_of("FOLDER", folder) or Path(folder) for folder in arguments.folders]
        out, data_root = path_of("--out", arguments.out), path_of("--data-root", arguments.data_root)
        for module in arguments.plugin:
            import_plugin(module)
        published = path_of("--published", arguments.published)
        with without_collection("pandas"):  # here: --help and a wrong option need not wait for it
            from mnist_zoo.report.command import report
            from mnist_zoo.report.published import add_published

        if published is not None:
            add_published(published)
        report(folders, out, data_root, for_paper=arguments.paper, live=arguments.live, show=arguments.open)


if __name__ == "__main__":
    main()
