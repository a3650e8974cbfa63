"""The run folder: its files and how they are written."""

from __future__ import annotations

import csv
import io
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mnist_zoo.errors import InputError
from mnist_zoo.files import to_json, write_atomically
from mnist_zoo.runs.reading import DamagedFile, read_status
from mnist_zoo.runs.records import CURVE_COLUMNS, CURVES_FILE, METRICS_FILE, PREDICTIONS_FILE, STATUS_FILE

if TYPE_CHECKING:
    import numpy as np


class FolderInUse(InputError):
    """Another process trains in this folder."""


class RunFolder:
    """The folder of one run. This process owns it inside a ``with`` block.

    An exception inside the block sets the state in ``status.json`` to ``failed``, Ctrl-C and termination signals set it
    to ``interrupted``. `finish` completes the run. The README describes the files in its section "The run folder".

    Attributes:
        path: the folder.
        status: the content of ``status.json``.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.status: dict[str, Any] = {}
        self._lock: FileLock | None = None

    @property
    def last_checkpoint(self) -> Path:
        """The newest checkpoint, from which a run continues."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before `last_checkpoint`, for the case that the newest is damaged."""
        return self.path / "checkpoints" / "previous.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint of the best epoch, which is tested."""
        return self.path / "checkpoints" / "best.ckpt"

    def __enter__(self) -> RunFolder:
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=1)  # `in_use` holds the lock for much less than a second
            lock.acquire()
        except Timeout as error:
            raise FolderInUse(f"{self.path} is in use by another process: wait, or choose another folder") from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path} ({error.strerror}): choose output_dir=DIR") from error
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.status.get("state") == "running":
            name, lines = type(error).__name__, str(error).strip().splitlines()
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.update(state=state, reason=f"{name}: {lines[0]}" if lines else name)
        if self._lock is not None:
            self._lock.release()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the lock: the processes of DDP write for the process that holds it."""
        return self.__dict__ | {"_lock": None}

    def start(self, **fields: Any) -> None:
        """Set the state in ``status.json`` to ``running``, with this process and further fields."""
        process = {"started": time.time(), "pid": os.getpid(), "host": socket.gethostname()}
        self.update(state="running", reason=None, **process, **fields)

    def update(self, **fields: Any) -> None:
        """Change fields of ``status.json``. A damaged file is written anew."""
        try:
            recorded = read_status(self.path)  # another process of DDP may have written it
        except DamagedFile:
            recorded = None
        self.status = (recorded or self.status) | fields | {"updated": time.time()}
        write_atomically(self.path / STATUS_FILE, to_json(self.status))

    def reopen(self) -> None:
        """Make a finished run unfinished. Its metrics and predictions are those of weights that will change."""
        for name in (METRICS_FILE, PREDICTIONS_FILE):
            (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete the files of an earlier run, so that the run starts again from epoch 1."""
        self.reopen()  # first: after a crash in this method the run must not count as finished
        for name in (STATUS_FILE, CURVES_FILE):
            (self.path / name).unlink(missing_ok=True)
        for path in [*self.path.glob("checkpoints/*"), *self.path.glob("events.out.tfevents.*")]:
            path.unlink()

    def write_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Replace ``curves.csv``. Each row is one epoch, with the keys of `CURVE_COLUMNS`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path / CURVES_FILE, text.getvalue())

    def finish(self, metrics: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Write ``predictions.npz``, then ``metrics.json``, which marks the run as finished."""
        import numpy as np  # here: --help and status need not wait for it

        arrays = io.BytesIO()
        np.savez(arrays, **dict(predictions))  # type: ignore[arg-type]  # numpy types ** as allow_pickle: bool
        write_atomically(self.path / PREDICTIONS_FILE, arrays.getvalue())
        write_atomically(self.path / METRICS_FILE, to_json(metrics))
        self.update(state="finished")
