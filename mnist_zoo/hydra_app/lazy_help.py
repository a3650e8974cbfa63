"""Hydra's command line on Python 3.14."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _LazyHelp:
    """A help text that is made when it is printed, with the answer that argparse of Python 3.14 asks it for."""

    def __init__(self, text: object) -> None:
        self.text = text

    def __repr__(self) -> str:
        return repr(self.text)

    def __contains__(self, part: str) -> bool:
        return False  # argparse asks for "%": there is nothing to fill in


@contextmanager
def lazy_help() -> Iterator[None]:
    """Within the block, argparse accepts help texts that are not strings.

    Python 3.14 checks a help text when its option is added. Hydra 1.3 gives ``--shell-completion`` an object that
    becomes a text when it is printed, which that check refuses: "badly formed help string", for every command.
    """
    original = argparse.ArgumentParser.add_argument

    def add_argument(parser: argparse.ArgumentParser, *flags: str, **options: Any) -> argparse.Action:
        if not isinstance(options.get("help", ""), str | None):
            options["help"] = _LazyHelp(options["help"])
        return original(parser, *flags, **options)

    setattr(argparse.ArgumentParser, "add_argument", add_argument)  # noqa: B010 - mypy refuses an assignment
    try:
        yield
    finally:
        delattr(argparse.ArgumentParser, "add_argument")  # the method of its base class shows again
