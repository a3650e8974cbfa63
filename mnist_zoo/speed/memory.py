"""Freed memory stays with the process, for the activations of the next batch."""

from __future__ import annotations

import ctypes
import platform

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of malloc.h


def apply() -> bool:
    """Tell glibc to take all memory from the heap, and to return freed memory to the system above 1 GB only.

    By default it maps large blocks for each allocation, and the system fills them with zeros each time. The threshold
    for mapping cannot be raised above 32 MB, and large batches have larger activations; so mapping is switched off.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**30)
    return True
