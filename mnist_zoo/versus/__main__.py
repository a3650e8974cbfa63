"""``python -m mnist_zoo.versus model=cnn --a optimizer=adam --b optimizer=adamw``: which one is better?"""

from __future__ import annotations

import shlex
import sys

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings
from mnist_zoo.waiting import loading_torch


def main() -> None:
    """Entry point of ``python -m mnist_zoo.versus`` and ``mnist-zoo-versus``."""
    parser = Parser(
        prog="python -m mnist_zoo.versus", description="Train seeds until it is known which side is better."
    )
    add = parser.add_argument
    add("overrides", nargs="*", help="of all sides, as in training: model=cnn epochs=3 hydra/launcher=joblib_cores")
    add("--a", nargs="+", default=[], metavar="WORD", required=True, help="overrides of the baseline")
    add("--b", nargs="+", action="append", metavar="WORD", required=True, help="of a candidate; may be repeated")
    add("--margin", type=float, help="a smaller difference does not matter (default: 0.2 points of accuracy)")
    add(
        "--metric",
        default="accuracy",
        help="accuracy (default), loss, accuracy_at_equal_time, seconds_to, epochs_to, pgd, ...",
    )
    add("--target", type=float, help="accuracy of --metric seconds_to and epochs_to, a fraction")
    add("--epsilon", type=float, help="of --metric fgsm and pgd: the largest change of a pixel, from 0 to 1")
    add("--max-seeds", type=int, default=20, help="of each side (default: 20)")
    add("--tune", nargs="+", default=[], metavar="KEY=LOW:HIGH", help="settings to search for each side first")
    add("--trials", type=int, default=12, help="of --tune for each side (default: 12)")
    add("--b-seed-offset", type=int, default=0, help="added to the seeds of all sides but the first (default: 0)")
    add("--test", action="store_true", help="also show the test metrics at the end")
    add("--name", help="of the folder below outputs/versus (default: from the overrides)")
    given = parser.parse_intermixed_args()
    with one_line_errors("interrupted; the same command continues"), one_line_warnings():
        with loading_torch("versus", silent=True):  # here: --help need not wait for it
            from mnist_zoo.hydra_app.quiet_sweep import quiet_sweep
            from mnist_zoo.versus.comparing import compare
            from mnist_zoo.versus.page import write_page
            from mnist_zoo.versus.question import Question
            from mnist_zoo.versus.words import answer_lines
        named = ("metric", "margin", "max_seeds", "b_seed_offset", "target", "epsilon", "trials", "name")
        options = {key: getattr(given, key) for key in named} | {"tune": tuple(given.tune)}
        question = Question(tuple(given.overrides), tuple(map(tuple, [given.a, *given.b])), **options)
        found = compare(question, quiet_sweep(_command), test=given.test)
        print(*answer_lines(found), f"page: {shlex.quote(str(write_page(found)))}", sep="\n")


def _command(words: list[str]) -> None:
    """Run ``python -m mnist_zoo`` with these words in this process."""
    from mnist_zoo.__main__ import main as command

    sys.argv = ["mnist_zoo", *words]
    command()


if __name__ == "__main__":
    main()
