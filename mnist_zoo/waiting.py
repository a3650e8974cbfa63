"""A line that says what a user waits for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
    if silent or "torch" in sys.modules:
        yield
    else:
        with waiting_for(f"{text}: loading PyTorch ..."):
            yield
