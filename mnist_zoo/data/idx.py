"""Reading IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist, "the IDX file format").

torchvision has a reader, too, but it is undocumented, and a damaged file makes it raise errors without the file's name.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mnist_zoo.errors import InputError

# The third byte of the file gives the type. Numbers are big-endian.
DTYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}
MAX_DIMENSIONS = 4


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Return the array in an IDX file, plain or gzipped (name ending in ``.gz``), with the file's shape and dtype.

    The dtype is uint8, int16 or int32.

    Raises:
        InputError: if the file is not an IDX file, is damaged, or its size differs from what its header states.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run again to download it") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES or not 1 <= content[3] <= MAX_DIMENSIONS:
        raise InputError(f"{path} is not an IDX file ({len(content)} bytes): delete it and run again to download it")
    dtype, dimensions = DTYPES[content[2]], content[3]
    start = 4 + 4 * dimensions
    # A file that ends within its header gets sizes of zero there; its length is then too short, too.
    shape = np.frombuffer(content[4:start].ljust(4 * dimensions, b"\0"), ">u4").tolist()
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise InputError(
            f"{path} has {len(content):,} bytes and its header states {expected:,}: delete it and run again to "
            f"download it"
        )
    try:
        return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # an empty array whose other sizes are too large for numpy
        raise InputError(f"{path} has an invalid header ({error}): delete it and run again to download it") from error
