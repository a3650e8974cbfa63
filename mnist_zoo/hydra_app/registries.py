"""The registries of parts by the group of the command line that chooses from them."""

from __future__ import annotations

from typing import Any

from mnist_zoo.registry import Registry


def registries() -> dict[str, Registry[Any]]:
    """Return the registries of optimizers, schedules, losses and augmentations. The first call imports torch."""
    from mnist_zoo.data.augmentations import AUGMENTATIONS
    from mnist_zoo.losses import LOSSES
    from mnist_zoo.optim import OPTIMIZERS, SCHEDULERS

    return {"optimizer": OPTIMIZERS, "scheduler": SCHEDULERS, "loss": LOSSES, "augment": AUGMENTATIONS}
