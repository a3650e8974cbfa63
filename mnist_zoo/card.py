"""``python -m mnist_zoo.card RUN``: a model card in Markdown."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors, path_of
from mnist_zoo.speed.imports import without_collection
from mnist_zoo.waiting import waiting_for


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m mnist_zoo.card`` and ``mnist-zoo-card``."""
    parser = Parser(
        prog="python -m mnist_zoo.card",
        description="Write the model card of a finished run: data, recipe, accuracy, what python -m mnist_zoo.evaluate "
        "measured of it, limits, and the commands that repeat it.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--out", metavar="DIR", help="where to write model_card.md and its picture (default: RUN)")
    chosen = parser.parse_intermixed_args(arguments)
    with one_line_errors():
        out = path_of("--out", chosen.out)
        with waiting_for("card: reading the run ..."):
            with without_collection("pandas"):
                from mnist_zoo.report.card import write_card  # after parsing: it imports pandas and Matplotlib

            path = write_card(chosen.run, out)
        print(f"model card: {path} (and its picture beside it, unless there are too many classes for one)")


if __name__ == "__main__":
    main()
