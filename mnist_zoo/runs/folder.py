"""The run folder: what one training leaves behind, how it is written and how it is found again."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from mnist_zoo.errors import InputError
from mnist_zoo.runs.reading import read_json

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "val", "test")
CURVE_COLUMNS = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "seconds", "images_per_second")


class FolderInUse(InputError):
    """Another process trains in this folder."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace a file's content in one step: readers, and a crash, see the old or the new one, never a part."""
    content = content.encode() if isinstance(content, str) else content
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)  # temporary files are private by default, results are not
    os.replace(file.name, path)


def to_json(record: dict) -> str:
    """Return a record as indented JSON with a final newline."""
    return json.dumps(record, indent=2) + "\n"


class RunFolder:
    """One run's folder, owned by this process between ``with`` and its end.

    Leaving the block by an exception writes ``status.json`` with state ``failed`` and the reason; `finish` is what
    makes a folder count as finished. See DESIGN in the README ("The run folder") for the files.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.status: dict = {}
        self._lock: FileLock | None = None

    @property
    def last_checkpoint(self) -> Path:
        """Where to resume."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The `last_checkpoint` before the last one, in case that one was cut short."""
        return self.path / "checkpoints" / "previous.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The weights that were tested."""
        return self.path / "checkpoints" / "best.ckpt"

    def __enter__(self) -> RunFolder:
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=1)  # a glance of `in_use` at the lock is over sooner
            lock.acquire()
        except Timeout as error:
            raise FolderInUse(f"{self.path} is in use by another process: wait, or choose another folder") from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path} ({error.strerror}): choose output_dir=DIR") from error
        self._lock = lock
        return self

    def start(self, **fields) -> None:
        """Say in ``status.json`` that this process runs now, with further fields."""
        process = {"started": time.time(), "pid": os.getpid(), "host": socket.gethostname()}
        self.update(state="running", reason=None, **process, **fields)

    def reopen(self) -> None:
        """Make a finished run an unfinished one: its figures are not those of the weights to come."""
        for name in ("metrics.json", "predictions.npz"):
            (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier try left, so that the run starts anew."""
        self.reopen()  # first: what is half removed is not finished
        for name in ("status.json", "curves.csv"):
            (self.path / name).unlink(missing_ok=True)
        for path in [*self.path.glob("checkpoints/*"), *self.path.glob("events.out.tfevents.*")]:
            path.unlink()

    def __exit__(self, kind, error, trace) -> None:
        if error is not None and self.status.get("state") == "running":
            reason = str(error).strip().splitlines()
            self.update(state="failed", reason=f"{kind.__name__}: {reason[0]}" if reason else kind.__name__)
        self._lock.release()

    def __getstate__(self) -> dict:
        """Pickle without the lock: it stays with the process that took it, and DDP's processes write on its behalf."""
        return self.__dict__ | {"_lock": None}

    def update(self, **fields) -> None:
        """Change fields of ``status.json`` and write it."""
        self.status = (read_json(self.path / "status.json") or self.status) | fields | {"updated": time.time()}
        write_atomically(self.path / "status.json", to_json(self.status))

    def write_curves(self, rows: list[dict]) -> None:
        """Write ``curves.csv`` anew from one dict of `CURVE_COLUMNS` an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path / "curves.csv", text.getvalue())

    def finish(self, metrics: dict, predictions: dict[str, np.ndarray]) -> None:
        """Write ``predictions.npz``, then ``metrics.json``, which makes the run a finished one."""
        import numpy as np  # here: --help, status and a wrong override are answered without it

        arrays = io.BytesIO()
        np.savez(arrays, **predictions)
        write_atomically(self.path / "predictions.npz", arrays.getvalue())
        write_atomically(self.path / "metrics.json", to_json(metrics))
        self.update(state="finished")
