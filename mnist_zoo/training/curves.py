"""The curves of a run: one row an epoch, with the time it took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

METRICS = ("train_loss", "train_acc", "val_loss", "val_acc")


class Curves:
    """Rows for ``curves.csv``: epoch, learning rate, running training and validation metrics, seconds, images/s."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.lr = 0.0  # at the start of the epoch under way
        self._started = 0.0  # time of the epoch's start
        self._trained: float | None = None  # seconds of the epoch's training part; None until validation starts

    def start_epoch(self, lr: float) -> None:
        """Start the clock of an epoch with this learning rate."""
        self.lr, self._started = lr, time.perf_counter()

    def start_validation(self) -> None:
        """Stop the clock of the epoch's training part."""
        self._trained = time.perf_counter() - self._started

    @property
    def validated(self) -> bool:
        """Whether the epoch under way has reached its validation."""
        return self._trained is not None

    def end_epoch(self, epoch: int, metrics: Mapping[str, float], images: int) -> dict[str, Any]:
        """Add the row of an epoch, counted from 1, that trained on this many images, and return it."""
        assert self._trained is not None
        row = {"epoch": epoch, "lr": self.lr} | {name: metrics[name] for name in METRICS}
        row |= {
            "seconds": round(time.perf_counter() - self._started, 4),
            "images_per_second": round(images / self._trained, 1),
        }
        self.rows.append(row)
        self._trained = None
        return row

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, and learning rate and seconds of the epoch under way, for a run resumed within it."""
        return {"rows": [*self.rows], "epoch": {"lr": self.lr, "seconds": time.perf_counter() - self._started}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the rows and the epoch of a checkpoint."""
        self.rows, self.lr = state["rows"], state["epoch"]["lr"]
        self._started = time.perf_counter() - state["epoch"]["seconds"]
