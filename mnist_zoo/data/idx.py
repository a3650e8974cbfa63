"""Reading IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist, "the IDX file format").

torchvision has a reader, too, but it is undocumented, and a damaged file makes it raise errors without the file's name.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from mnist_zoo.data.reading import MAX_BYTES, require_file
from mnist_zoo.errors import InputError

# The third byte of the file gives the type. Numbers are big-endian.
DTYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}
MAX_DIMENSIONS = 4
CURE = "delete it and run again to download it"


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Return the array in an IDX file, plain or gzipped (name ending in ``.gz``), with the file's shape and dtype.

    The dtype is uint8, int16 or int32. Of a gzipped file the checksum is checked. A plain one has none: there, only the
    header and the number of bytes are checked. No more is read than the header states.

    Raises:
        InputError: if the file is not a regular file, not an IDX file, is damaged, or its size differs from what its
            header states.
    """
    require_file(path, CURE)
    try:
        with path.open("rb") as raw:
            return _read(cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): {CURE}") from error


def _read(file: IO[bytes], path: Path) -> np.ndarray[Any, Any]:
    """Return the array in an open file; `path` is for messages."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in DTYPES or not 1 <= start[3] <= MAX_DIMENSIONS:
        raise InputError(f"{path} is not an IDX file: {CURE}")
    dtype, dimensions = DTYPES[start[2]], start[3]
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise InputError(f"{path} ends within its header: {CURE}")
    shape = np.frombuffer(header, ">i4").tolist()
    size = math.prod(shape) * dtype.itemsize
    if min(shape) < 0 or size > MAX_BYTES:
        raise InputError(f"{path} has an invalid header: it states the sizes {shape}: {CURE}")
    content = np.empty(size, np.uint8)
    found = _fill(file, content)
    stated = 4 + len(header) + size
    if found < size:
        raise InputError(f"{path} has {stated - size + found:,} bytes and its header states {stated:,}: {CURE}")
    if file.read(1):  # at the end of a gzipped file this also checks its checksum
        raise InputError(f"{path} has more bytes than the {stated:,} that its header states: {CURE}")
    try:
        return content.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    except ValueError as error:  # an empty array whose other sizes are too large for numpy
        raise InputError(f"{path} has an invalid header: it states the sizes {shape}: {CURE}") from error


def _fill(file: IO[bytes], target: np.ndarray[Any, Any]) -> int:
    """Read bytes into `target`, uint8 ``(N,)``, until it is full or the file ends, and return their number."""
    found = 0
    while found < len(target):
        part = file.read(min(len(target) - found, 1 << 20))
        if not part:
            break
        target[found : found + len(part)] = np.frombuffer(part, np.uint8)
        found += len(part)
    return found
