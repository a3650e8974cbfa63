"""Optimizers and learning-rate schedules by name. They work with any network and any Trainer."""

from mnist_zoo.optim import lion, muon, schedules  # noqa: F401  (importing them registers what they define)
from mnist_zoo.optim.building import (
    OPTIMIZERS,
    SCHEDULERS,
    build_optimizer,
    build_scheduler,
    follows_metric,
    register_optimizer,
    register_scheduler,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULERS",
    "build_optimizer",
    "build_scheduler",
    "follows_metric",
    "register_optimizer",
    "register_scheduler",
]
