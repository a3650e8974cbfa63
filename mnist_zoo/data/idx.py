"""Reading IDX files, the format MNIST came in (http://yann.lecun.com/exdb/mnist, "the IDX file format")."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from mnist_zoo.errors import InputError

# Third byte of the file; IDX numbers are big-endian.
DTYPES = {0x08: np.dtype("u1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}


def read_idx(path: Path) -> np.ndarray:
    """Return the array in an IDX file, gzipped (name ending in ``.gz``) or plain, in its own shape and dtype.

    Raises:
        InputError: if the file is not IDX, is damaged, or is longer or shorter than its header says (both sizes named).
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run again to download it anew") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES or not 1 <= content[3] <= 4:
        raise InputError(f"{path} is not an IDX file ({len(content)} bytes): delete it to download it anew")
    dtype, dimensions = DTYPES[content[2]], content[3]
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start].ljust(4 * dimensions, b"\0"), ">i4")
    expected = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(content) != expected:
        raise InputError(
            f"{path} has {len(content):,} bytes and its header promises {expected:,}: delete it to download it anew"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
