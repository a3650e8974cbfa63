"""Faster imports of PyTorch and Lightning, and a faster end of the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Within a block that imports modules, collect no garbage; afterwards leave out what was imported.

    The modules of PyTorch and Lightning are about a million objects that live as long as the process. By default,
    Python searches them for garbage again and again: during the imports, at each full collection, and at its end.
    Later collections search only what was created after the block.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
