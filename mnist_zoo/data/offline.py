"""Whether missing files of a data set may be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_allowed = ContextVar("downloads_allowed", default=True)


def downloads_allowed() -> bool:
    """Return whether a data set may download files that are missing."""
    return _allowed.get()


@contextmanager
def no_downloads() -> Iterator[None]:
    """Within this block data sets are read from disk only; a missing file raises `DataUnavailable`."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)
