"""``python -m mnist_zoo.search search=dropout trials=50``: adaptive search with Optuna."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.hydra_app.search_words import split
from mnist_zoo.internals import keep_tensorflow_out


def main() -> None:
    """Entry point of ``python -m mnist_zoo.search`` and ``mnist-zoo-search``."""
    parser = Parser(
        prog="python -m mnist_zoo.search", description="Search settings with Optuna, compared by validation accuracy."
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="key=value",
        help="search=NAME or search=FILE.yaml, trials=N, algorithm=tpe|random|genetic, prune=false, ...",
    )
    words = parser.parse_intermixed_args().words
    with one_line_errors("interrupted; the same command continues"):
        given, overrides = split(words)
        from mnist_zoo.hydra_app.optuna_search import search  # here: --help need not wait for Hydra

        keep_tensorflow_out()
        prune = given["prune"] == "true"
        search(given["search"], int(given["trials"]), given.get("study"), overrides, given["algorithm"], prune)


if __name__ == "__main__":
    main()
