"""``python -m mnist_zoo.list models``: what can be chosen on the command line, with a line on each."""

from __future__ import annotations

import shutil
import sys
import textwrap

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.hydra_app.catalogue import KINDS, Choice, choices


def main() -> None:
    """Entry point of ``python -m mnist_zoo.list`` and ``mnist-zoo-list``."""
    parser = Parser(
        prog="python -m mnist_zoo.list", description="List what can be chosen on the command line, with a line on each."
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}; without it, all names")
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="a module that registers parts of its own"
    )
    arguments = parser.parse_intermixed_args()
    with one_line_errors():
        if arguments.kind is None:
            for kind in KINDS:
                names = ", ".join(choice.name for choice in choices(kind, arguments.plugin))
                print(f"{kind} ({KINDS[kind]}=): {names}")
            print("with a line on each: python -m mnist_zoo.list KIND")
        else:
            _show(arguments.kind, choices(arguments.kind, arguments.plugin))


def _show(kind: str, found: list[Choice]) -> None:
    """Print one line on each choice, and below it its settings."""
    key = KINDS.get(kind, kind)
    print(f"{key}=NAME" + (f", and its settings as {key}.SETTING=VALUE" if any(c.options for c in found) else ""))
    width = max(len(choice.name) for choice in found) + 2
    for choice in found:
        print(_fit(f"  {choice.name:{width}}{choice.about}"))
        if choice.options:
            print(_fit(" " * (width + 4) + " ".join(f"{name}={value}" for name, value in choice.options.items())))


def _fit(line: str) -> str:
    """Return a line, cut where the terminal ends; whole in a pipe or file."""
    if not sys.stdout.isatty():
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return indent + textwrap.shorten(line.strip(), shutil.get_terminal_size().columns - len(indent), placeholder=" ...")


if __name__ == "__main__":
    main()
