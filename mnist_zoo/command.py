"""The border of every command: an error that users can correct becomes one line on stderr and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from mnist_zoo.errors import InputError, ZooError, printable

FAILED, INTERRUPTED = 1, 130  # exit status; 130 is that of shells after Ctrl-C


def stop(message: object, status: int = FAILED) -> NoReturn:
    """Print ``error: message`` on stderr as one line, and leave the program."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(status)


def leave_closed_pipe() -> NoReturn:
    """Leave the program: the reader of its output, such as head, has read enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports it again at its end
    sys.exit(FAILED)


class Parser(argparse.ArgumentParser):
    """Parser of a command's words. A word with control characters cannot give commands to the terminal."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line of error, and leave the program with status 2."""
        super().error(printable(message))


@contextmanager
def one_line_errors(interrupted: str = "interrupted") -> Iterator[None]:
    """Leave the program with one line if the block raises ZooError or OSError, or is interrupted by Ctrl-C.

    Args:
        interrupted: what to say after Ctrl-C, such as how to continue.
    """
    try:
        yield
        sys.stdout.flush()  # here, so that a closed pipe or a full disk shows within this block
    except ZooError as error:
        stop(error)
    except KeyboardInterrupt as error:
        stop(str(error) or interrupted, INTERRUPTED)
    except BrokenPipeError:
        leave_closed_pipe()
    except OSError as error:
        if error.filename is None:
            raise
        stop(f"{error.filename}: {error.strerror}")


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Within a block, print each warning as one line, without the source line that raised it."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {printable(message)}", file=sys.stderr)
        yield


def path_of(option: str, text: str | None) -> Path | None:
    """Return the path that a command's option names; None if the option was not given.

    Raises:
        InputError: if the option was given an empty text, which `Path` takes for the current folder.
    """
    if text is None:
        return None
    if not text.strip():
        raise InputError(f"{option} is empty: name a folder")
    return Path(text)
