"""``python -m mnist_zoo.search search=dropout trials=50``: adaptive search with Optuna."""

from __future__ import annotations

import difflib

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.errors import InputError
from mnist_zoo.internals import keep_tensorflow_out

SETTINGS = ("search", "trials", "study", "algorithm")  # words of this command; all others are overrides of the training


def main() -> None:
    """Entry point of ``python -m mnist_zoo.search`` and ``mnist-zoo-search``."""
    parser = Parser(
        prog="python -m mnist_zoo.search", description="Search settings with Optuna, compared by validation accuracy."
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="key=value",
        help="search=NAME (of conf/search) or search=FILE.yaml, trials=N, algorithm=tpe|random|genetic, ...",
    )
    words = parser.parse_args().words
    with one_line_errors("interrupted; the same command continues"):
        given, overrides = _split(words)
        from mnist_zoo.hydra_app.optuna_search import search  # here: --help need not wait for Hydra

        keep_tensorflow_out()
        trials, algorithm = int(given.get("trials", 20)), given.get("algorithm", "tpe")
        search(given["search"], trials, given.get("study"), overrides, algorithm)


def _split(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return this command's own settings, and the overrides of the training."""
    given: dict[str, str] = {}
    overrides = []
    for word in words:
        key, _, value = word.partition("=")
        if key in given:
            raise InputError(f"{key}= was given twice")
        if key in SETTINGS:
            given[key] = value
            continue
        near = difflib.get_close_matches(key, SETTINGS, cutoff=0.75)
        if near:
            raise InputError(f"unknown setting '{key}'; did you mean {near[0]}?")
        overrides.append(word)
    if "search" not in given:
        raise InputError("no search was named: add search=NAME, a file of conf/search, or search=FILE.yaml")
    trials = given.get("trials", "20")
    if not (trials.isascii() and trials.isdecimal() and len(trials) < 20):
        raise InputError(f"trials={trials}: it must be an integer of 1 or more")
    return given, overrides


if __name__ == "__main__":
    main()
