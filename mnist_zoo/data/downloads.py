"""Downloads through torchvision: complete or not at all."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

from mnist_zoo.data.offline import downloads_allowed
from mnist_zoo.data.sources import DataUnavailable
from mnist_zoo.errors import InputError, StorageError
from mnist_zoo.files import CURES

DOWNLOAD_TIMEOUT = 10.0  # seconds without an answer; compute nodes often have no internet access
CORRUPTED = "corrupted"  # in torchvision's message for a file whose MD5 checksum is not the published one


def download(root: Path, class_name: str, calls: Sequence[Mapping[str, str]], folder: Path) -> None:
    """Let torchvision download a data set to `root`. Files appear there when all are complete.

    Args:
        root: torchvision's folder of data sets. It is created if needed.
        class_name: torchvision's class.
        calls: arguments of each call of the class that is needed to download all files.
        folder: where the files will be, for messages.

    Raises:
        InputError: if `root` is not a folder.
        StorageError: if `root` cannot be written.
        DataUnavailable: if the files cannot be downloaded, or may not be (`no_downloads`), or are not the published
            ones.
    """
    if not downloads_allowed():
        raise DataUnavailable(f"{class_name} is not in {folder}")
    from torchvision import datasets  # here, because files on disk do not need the import

    if root.exists() and not root.is_dir():
        raise InputError(f"data.root={root} is not a folder: name a folder with data.root=DIR")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root, prefix=".download-") as temporary:
            with _socket_timeout(DOWNLOAD_TIMEOUT):
                for arguments in calls:
                    getattr(datasets, class_name)(temporary, download=True, **arguments)
            _move(Path(temporary), root)
    except (RuntimeError, URLError, OSError) as error:
        if isinstance(error, OSError) and error.errno in CURES:
            raise StorageError(
                f"cannot write to data.root={root} ({error.strerror}): {CURES[error.errno]}, or name another folder "
                f"with data.root=DIR"
            ) from error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        wrong = "the file that was sent has another MD5 checksum than the published one"
        raise DataUnavailable(
            f"{class_name} is not in {folder} and could not be downloaded "
            f"({wrong if CORRUPTED in lines[-1] else lines[-1]}): put its files there, or name another folder with "
            f"data.root=DIR"
        ) from error


def _move(source: Path, target: Path) -> None:
    """Move every file below one folder to the same place below another, where it replaces what is there."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Set the default timeout of sockets; torchvision's downloads have no argument for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
