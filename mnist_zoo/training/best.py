"""Which epoch is the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class BestEpoch:
    """The epoch with the highest accuracy, or the lowest loss, by the monitored metric.

    Among equals the lower val_loss decides, then the earlier epoch.

    Args:
        monitor: ``val_acc``, ``val_loss``, ``train_acc`` or ``train_loss``.
        warmup: an epoch after so many is better than each of them, whose training is easier.

    Attributes:
        epoch: counted from 0; -1 before the first epoch has ended.
    """

    def __init__(self, monitor: str, warmup: int = 0):
        self.monitor, self.warmup, self.epoch = monitor, warmup, -1
        self._score: list[float] | None = None  # what is maximised, most important first

    def update(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Return whether an epoch, counted from 0, is better than all before it."""
        sign = 1 if self.monitor.endswith("acc") else -1
        score = [sign * metrics[self.monitor], -metrics["val_loss"]]
        if self.warmup:
            score.insert(0, float(epoch >= self.warmup))
        if self._score is not None and score <= self._score:
            return False
        self._score, self.epoch = score, epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch and its score."""
        return {"best": self._score, "best_epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with those of a checkpoint."""
        self._score, self.epoch = state["best"], state["best_epoch"]
