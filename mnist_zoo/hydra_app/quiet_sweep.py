"""A sweep as part of another command: only the line of each job is shown, and a failed job is an error."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from typing import TextIO

from mnist_zoo.errors import ZooError


class JobsFailed(ZooError):
    """Jobs of a sweep failed; their reasons were printed."""


class _JobLines(io.TextIOBase):
    """Passes on the lines that begin with the number of a job, as ``[1/4]``."""

    def __init__(self, out: TextIO):
        self._out, self._line = out, ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line.startswith("["):
                self._out.write(f"  {line}\n")
                self._out.flush()
        return len(text)


def quiet_sweep(command: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Return a function that runs a sweep with these words.

    Args:
        command: runs ``python -m mnist_zoo`` with these words in this process, and leaves it after an error.
    """

    def sweep(words: list[str]) -> None:
        with contextlib.redirect_stdout(_JobLines(sys.stdout)):
            try:
                command(["-m", *words])
            except SystemExit as end:
                if end.code == 130:  # after Ctrl-C
                    raise KeyboardInterrupt("interrupted; the same command continues") from end
                raise JobsFailed("the comparison stops here: see the reason above; the same command continues") from end

    return sweep
