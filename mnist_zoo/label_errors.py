"""``python -m mnist_zoo.label_errors SWEEP``: the images whose labels are probably wrong."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors, path_of
from mnist_zoo.plugins import import_plugin
from mnist_zoo.waiting import loading_torch

FOLDS = "python -m mnist_zoo -m model=cnn data.folds=5 data.fold=0,1,2,3,4"


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m mnist_zoo.label_errors`` and ``mnist-zoo-label-errors``."""
    chosen = _parser().parse_intermixed_args(arguments)
    with one_line_errors():
        out, data_root = path_of("--out", chosen.out), path_of("--data-root", chosen.data_root)
        for module in chosen.plugin:
            import_plugin(module)
        with loading_torch("label_errors"):
            # After parsing: imports torch.
            from mnist_zoo.report.label_errors import check_most, find_label_errors, write_label_errors

        check_most(chosen.most)
        found = find_label_errors(chosen.sweep, data_root)
        folder = write_label_errors(found, out or chosen.sweep, most=chosen.most)
        for line in found.summary(chosen.most):
            print(line)
        print(f"written to {folder}: train.csv, train.png, test.csv, test.png (and a section of the sweep's report)")


def _parser() -> Parser:
    parser = Parser(
        prog="python -m mnist_zoo.label_errors",
        description="List the training and test images whose labels are probably wrong, with cleanlab, from runs of "
        f"which each was validated on another fold of the training images: {FOLDS}",
    )
    add = parser.add_argument
    add("sweep", metavar="SWEEP", help="folder with the runs; several runs of a fold are averaged")
    add("--most", type=int, default=50, metavar="N", help="images to draw and list first (default: 50)")
    add("--out", metavar="DIR", help="where to write (default: label_errors/ in the sweep)")
    add("--data-root", metavar="DIR", help="folder of the images of the runs (default: data)")
    add("--plugin", action="append", default=[], metavar="MODULE", help="module that registers the data set")
    return parser


if __name__ == "__main__":
    main()
