"""The world of the fuzz, made once, and a copy of it for each case."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.world import copy_world, make_world


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world that the cases copy; nothing writes to it."""
    import mnist_zoo.inference.export
    import torch.utils.benchmark  # noqa: F401  (it looks for a compiler when it is imported)

    mnist_zoo.inference.export.TIMED = 0.01  # speeds are not tested here
    return make_world(tmp_path_factory.mktemp("fuzz") / "world")


@pytest.fixture
def world(original: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the world, deleted after the case: a thousand copies would fill the disk."""
    copy = copy_world(original, tmp_path / "world")
    yield copy
    shutil.rmtree(copy, ignore_errors=True)
