"""Lines that say what a user waits for, and for how long."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType

from mnist_zoo.speed.imports import without_collection

FIRST, INTERVAL = 2.0, 30.0  # seconds until a task is worth a line, and between lines in a log
REFRESH = 0.5  # seconds between two updates on a terminal


@contextmanager
def waiting_for(text: str) -> Iterator[None]:
    """Show a line during a block that takes seconds: on a terminal until the block ends, else as a line of the log."""
    if not sys.stdout.isatty():
        print(text, flush=True)
        yield
        return
    text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be removed
    sys.stdout.write(text)
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write("\r" + " " * len(text) + "\r")
        sys.stdout.flush()


@contextmanager
def loading_torch(text: str, *, silent: bool = False) -> Iterator[None]:
    """Show ``<text>: loading PyTorch ...`` during a block that imports PyTorch, unless it is imported, or silent."""
    if "torch" in sys.modules:
        yield
        return
    with nullcontext() if silent else waiting_for(f"{text}: loading PyTorch ..."), without_collection("torch"):
        yield


class Countdown:
    """Shows the share of a task that is done, and the time left; within a ``with`` block.

    On a terminal the line is replaced and removed at the end; in a log there is a line every half minute.

    Args:
        name: of the task.
    """

    def __init__(self, name: str):
        self._name, self._started, self._shown = name, time.monotonic(), 0.0
        self._width = 0
        self._terminal = sys.stdout.isatty()

    def __enter__(self) -> Countdown:
        self._started = time.monotonic()
        self._shown = self._started + (FIRST if self._terminal else INTERVAL)
        return self

    def __call__(self, share: float) -> None:
        """Show that this share of the task is done, from 0 to 1."""
        now = time.monotonic()
        if now < self._shown or not 0 < share < 1:
            return
        left = (now - self._started) * (1 - share) / share
        line = f"  {self._name}: {share:.0%}, {_duration(left)} left"
        if self._terminal:
            sys.stdout.write(f"\r{line:{self._width}}")
            sys.stdout.flush()
        else:
            print(line, flush=True)
        self._shown, self._width = now + (REFRESH if self._terminal else INTERVAL), len(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
            sys.stdout.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
