"""Training that diverges ends with an error that says what to change."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mnist_zoo.errors import DivergedError


def check_losses(metrics: Mapping[str, float], epoch: int, lr: float) -> None:
    """Raise DivergedError if the training or the validation loss of an epoch, counted from 1, is NaN or infinite."""
    for name in ("train_loss", "val_loss"):
        if not math.isfinite(metrics[name]):
            raise DivergedError(
                f"{name} became {metrics[name]} in epoch {epoch} at lr={lr:g}: use a lower lr, or clip the gradient "
                f"with grad_clip=1"
            )
