"""The world of the fuzz, made once, and a copy of it for each case."""

from __future__ import annotations

import base64
import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from unittest import mock

import pytest

from fuzz.world import copy_world, make_world

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==")


def _save_quickly(figure: object, target: str | Path | IO[bytes], **options: Any) -> None:
    if isinstance(target, (str, Path)):
        Path(target).write_bytes(PIXEL)
    else:
        target.write(PIXEL)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the world that the cases copy.

    To save time, plots are not drawn, speeds are not measured and files are not flushed to the disk.
    """
    import torch.utils.benchmark  # noqa: F401  (it looks for a compiler when it is imported)

    with (
        mock.patch("mnist_zoo.inference.export.TIMED", 0.01),
        mock.patch("os.fsync"),
        mock.patch("matplotlib.figure.Figure.savefig", _save_quickly),
    ):
        place = make_world(tmp_path_factory.mktemp("fuzz") / "world")
        gc.freeze()  # the imported libraries are many objects, which each collection would look through
        yield place


@pytest.fixture
def world(original: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the world, deleted after the case: a thousand copies would fill the disk."""
    copy = copy_world(original, tmp_path / "world")
    yield copy
    shutil.rmtree(copy, ignore_errors=True)
