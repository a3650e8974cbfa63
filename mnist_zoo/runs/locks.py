"""Which process works on what: the lock of a run folder, and those of a sweep."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_zoo.files import storage_errors

LOCK_FILE = ".lock"  # of a run folder
_SWEEP_LOCK = ".lock-"  # each process that works on a sweep holds such a file: several may


def in_use(folder: str | Path) -> bool:
    """Return whether a process owns this run folder now."""
    path = Path(folder) / LOCK_FILE
    return path.exists() and _held(path)


def _held(path: Path) -> bool:
    """Return whether a process holds a lock. On a read-only disk none does."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


@contextmanager
def sweeping(folder: str | Path) -> Iterator[None]:
    """Within a block, this process works on the sweep in a folder: `swept` says so. Others may do so as well.

    Raises:
        StorageError: if the folder cannot be written.
    """
    place = Path(folder)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        for path in place.glob(f"{_SWEEP_LOCK}*"):
            if not _held(path):  # of a process that was killed
                path.unlink(missing_ok=True)
        lock = FileLock(place / f"{_SWEEP_LOCK}{uuid.uuid4().hex[:8]}")
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # the lock itself ends with the process
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def swept(folder: str | Path) -> bool:
    """Return whether a process works on the sweep in a folder now."""
    return any(_held(path) for path in Path(folder).glob(f"{_SWEEP_LOCK}*"))
