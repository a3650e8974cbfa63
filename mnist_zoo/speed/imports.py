"""Faster imports of large libraries, and a faster end of the process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection(library: str) -> Iterator[None]:
    """Within a block that imports `library`, collect no garbage; afterwards leave out what was imported.

    The modules of PyTorch and Lightning are about a million objects that live as long as the process. By default,
    Python searches them for garbage again and again: during the imports, at each full collection, and at its end.
    Later collections search only what was created after the block. If `library` is imported already, nothing changes.

    Args:
        library: name of a module, such as ``torch``.
    """
    if library in sys.modules:
        yield
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
