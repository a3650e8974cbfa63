"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from mnist_zoo.errors import InputError, unknown

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
SCHEDULERS = ("none", "plateau", "exponential", "cosine", "onecycle")


def build_optimizer(choice: Mapping[str, Any], parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return an optimizer over the parameters.

    Args:
        choice: ``name``, one of `OPTIMIZERS`, and any of torch's own options of that optimizer.
        parameters: of the network.
        lr: learning rate.

    Raises:
        InputError: unknown name or option, or a value that torch refuses.
    """
    options = dict(choice)
    name = options.pop("name")
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    accepted = inspect.signature(OPTIMIZERS[name]).parameters
    for option in options:
        if option not in accepted:
            raise unknown(f"option of optimizer '{name}'", option, set(accepted) - {"params", "lr"})
    try:
        return OPTIMIZERS[name](parameters, lr=lr, **options)  # type: ignore[call-arg]  # each class has its options
    except ValueError as error:
        raise InputError(f"optimizer '{name}': {error}") from error


def build_scheduler(
    choice: Mapping[str, Any], optimizer: torch.optim.Optimizer, steps: int, steps_per_epoch: int
) -> dict[str, Any]:
    """Return Lightning's ``lr_scheduler`` config of a schedule other than ``none``.

    ``plateau`` (``monitor``, ``patience``, ``factor``, ``min_lr``) and ``exponential`` (``gamma``) change the learning
    rate after an epoch; ``cosine`` (``min_lr``) and ``onecycle`` (``pct_start``) after every step, over all epochs.

    Args:
        choice: ``name``, one of `SCHEDULERS`, and the options above.
        optimizer: whose learning rate changes.
        steps: optimizer steps of the whole training.
        steps_per_epoch: batches of one epoch.

    Raises:
        InputError: unknown name or option, or a value that torch refuses.
    """
    options = dict(choice)
    name = options.pop("name")
    # All schedules count batches, also those that act once an epoch: Lightning updates an "epoch" schedule after it
    # has written the epoch's checkpoint, and a resumed run would miss the update.
    config: dict[str, Any] = {"interval": "step", "frequency": 1}
    if name in ("plateau", "exponential"):
        config["frequency"] = steps_per_epoch
    if name == "plateau":
        config |= {"monitor": options.pop("monitor", "val_acc"), "strict": True}
        options["mode"] = "max" if config["monitor"].endswith("acc") else "min"
    try:
        match name:
            case "plateau":
                config["scheduler"] = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
            case "exponential":
                config["scheduler"] = lr_scheduler.ExponentialLR(optimizer, **options)
            case "cosine":
                min_lr = options.pop("min_lr", 0.0)
                config["scheduler"] = lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=min_lr, **options)
            case "onecycle":
                lr = optimizer.param_groups[0]["lr"]
                config["scheduler"] = lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps, **options)
            case _:
                raise unknown("scheduler", name, SCHEDULERS)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"scheduler '{name}': {error}") from error
    return config
