"""The run folder: its files and how they are written."""

from __future__ import annotations

import csv
import io
import math
import os
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mnist_zoo.errors import DivergedError, InputError, StorageError, printable
from mnist_zoo.files import storage_errors, to_json, write_atomically
from mnist_zoo.runs.locks import LOCK_FILE
from mnist_zoo.runs.reading import DamagedFile, read_status
from mnist_zoo.runs.records import (
    CURVE_COLUMNS,
    CURVES_FILE,
    ESTIMATOR_FILE,
    EVALUATION_ARRAYS_FILE,
    EVALUATION_FILE,
    JOB_FILE,
    METRICS_FILE,
    NETWORK_FOLDER,
    PREDICTIONS_FILE,
    STATUS_FILE,
    TRACEBACK_FILE,
)

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
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK_FILE, timeout=1)  # `in_use` holds the lock for much less than a second
            lock.acquire()
        except Timeout as error:
            raise FolderInUse(f"{self.path} is in use by another process: wait, or choose another folder") from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path} ({error.strerror}): choose output_dir=DIR") from error
        self._lock = lock
        self._remove_temporary_files()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self.status.get("state") == "running":
                name, lines = type(error).__name__, str(error).strip().splitlines()
                state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                with suppress(StorageError, InputError):  # the disk is full: the error that ended the block says more
                    self.update(state=state, reason=printable(f"{name}: {lines[0]}" if lines else name))
        finally:
            if self._lock is not None:
                self._lock.release()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the lock: the processes of DDP write for the process that holds it."""
        return self.__dict__ | {"_lock": None}

    def start(self, **fields: Any) -> None:
        """Set the state in ``status.json`` to ``running``, with this process and further fields.

        The traceback of an earlier failure is removed.
        """
        with storage_errors(self.path):
            (self.path / TRACEBACK_FILE).unlink(missing_ok=True)
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
        """Make a finished run unfinished. What was measured of it is that of weights that will change."""
        self._remove(METRICS_FILE, PREDICTIONS_FILE, EVALUATION_FILE, EVALUATION_ARRAYS_FILE)

    def clear(self) -> None:
        """Delete the files of an earlier run, so that the run starts again from epoch 1."""
        self.status = {}
        self.reopen()  # first: after a crash in this method the run must not count as finished
        self._remove(STATUS_FILE, CURVES_FILE, TRACEBACK_FILE, "checkpoints/*", "events.out.tfevents.*", ESTIMATOR_FILE)
        if (self.path / NETWORK_FOLDER).is_dir():
            RunFolder(self.path / NETWORK_FOLDER).clear()

    def write_traceback(self) -> None:
        """Write the traceback of the exception that is being handled, for the one who looks for its cause."""
        write_atomically(self.path / TRACEBACK_FILE, traceback.format_exc())

    def _remove_temporary_files(self) -> None:
        """Remove what a process left that was killed while it wrote a file."""
        names = (
            *(STATUS_FILE, METRICS_FILE, JOB_FILE, CURVES_FILE, PREDICTIONS_FILE, TRACEBACK_FILE),
            *(EVALUATION_FILE, EVALUATION_ARRAYS_FILE, ESTIMATOR_FILE),
        )
        self._remove(
            *(f".{name}.*" for name in names), *(f"checkpoints/{name}" for name in ("*.new", "*.new2", ".*.*"))
        )

    def _remove(self, *patterns: str) -> None:
        """Remove the files that match these patterns."""
        with storage_errors(self.path):
            for path in [path for pattern in patterns for path in self.path.glob(pattern)]:
                path.unlink(missing_ok=True)

    def write_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Replace ``curves.csv``. Each row is one epoch, with the keys of `CURVE_COLUMNS`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path / CURVES_FILE, text.getvalue())

    def finish(self, metrics: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Write ``predictions.npz``, then ``metrics.json``, which marks the run as finished.

        Raises:
            DivergedError: if a loss is NaN or infinite, as with a network whose weights are. Nothing is written.
        """
        for key, value in metrics.items():
            if key.endswith("_loss") and not math.isfinite(value):
                raise DivergedError(f"{key} of the best epoch is {value}: use a lower lr, or a higher precision")
        import numpy as np  # here: --help and status need not wait for it

        arrays = io.BytesIO()
        np.savez(arrays, **dict(predictions))  # type: ignore[arg-type]  # numpy types ** as allow_pickle: bool
        write_atomically(self.path / PREDICTIONS_FILE, arrays.getvalue())
        write_atomically(self.path / METRICS_FILE, to_json(metrics))
        self.update(state="finished")
