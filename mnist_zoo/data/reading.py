"""What the readers of data files share: which files are opened, and how many bytes they may take."""

from __future__ import annotations

from pathlib import Path

from mnist_zoo.errors import InputError

# Largest data set in memory. A compressed file of a few bytes can claim more than any machine has.
MAX_BYTES = 4 * 2**30


def require_file(path: Path, cure: str) -> None:
    """Raise InputError unless `path` is a regular file. (To open a named pipe would wait for ever.)

    Args:
        path: symbolic links are followed.
        cure: what to do if there is no such file.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a file: {cure}")
    if path.exists():
        raise InputError(f"{path} is not a regular file (it may be a named pipe or a device): {cure}")
    raise InputError(f"there is no file {path}: {cure}")


def require_memory(count: int, shape: tuple[int, ...], where: Path, cure: str) -> None:
    """Raise InputError if `count` images of a shape take more than `MAX_BYTES` as 8-bit pixels."""
    size = count
    for side in shape:
        size *= side
    if size > MAX_BYTES:
        raise InputError(
            f"{where}: {count:,} images of {'x'.join(map(str, shape))} take {size / 2**30:.1f} GiB, and at most "
            f"{MAX_BYTES / 2**30:g} GiB are read into memory: {cure}"
        )
