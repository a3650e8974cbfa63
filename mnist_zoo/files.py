"""Writing files: in one step, and with one line if the disk is full or the place cannot be written.

Everything that mnist_zoo itself writes goes through `write_atomically`. Files that a library writes, such as
checkpoints and plots, are written within `storage_errors`.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnist_zoo.errors import InputError, StorageError

CURES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose another folder",
    errno.EACCES: "choose another folder",
    errno.EPERM: "choose another folder",
}


@contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Within a block that writes `path`, raise StorageError, which is one line, instead of OSError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        cure = CURES.get(error.errno or 0, "check this path")
        raise StorageError(f"cannot write {error.filename or path} ({reason}): {cure}") from error


def require_regular(path: str | Path) -> Path:
    """Return where a file is to be written: `path` with symbolic links followed.

    Raises:
        InputError: if something other than a regular file is there, such as a folder or a device. To rename a file over
            a device would remove the device.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {path}: it is not a regular file; choose another name")
    return target


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Replace the content of a file in one step: readers see the old or the new content, even after a crash.

    Raises:
        InputError: if `path` is something other than a regular file.
        StorageError: if it cannot be written. The old content is still there then, and no temporary file is left.
    """
    target = require_regular(path)
    data = content.encode() if isinstance(content, str) else content
    with storage_errors(path):
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(number, "wb") as file:  # a full disk may show when the file is closed
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # only the owner can read a temporary file
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise


def to_json(record: Mapping[str, Any]) -> str:
    """Return a record as indented JSON that ends with a newline."""
    return json.dumps(record, indent=2) + "\n"
