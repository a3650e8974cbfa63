"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import lr_scheduler

from mnist_zoo.errors import InputError, unknown

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
SCHEDULERS = ("none", "plateau", "exponential", "cosine", "onecycle")


def build_optimizer(
    choice: dict, parameters: Iterable[nn.Parameter], lr: float, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Return ``choice["name"]`` over the parameters, with the other entries of `choice` as torch's own options.

    The fused kernels of torch are used, if `fused`, where an optimizer has them (all but RMSprop): the same update in
    one pass.

    Raises:
        InputError: unknown name or option, or a value torch refuses.
    """
    options = dict(choice)
    name = options.pop("name")
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    accepted = inspect.signature(OPTIMIZERS[name]).parameters
    for option in options:
        if option not in accepted:
            raise unknown(f"option of optimizer '{name}'", option, set(accepted) - {"params", "lr"})
    if name != "rmsprop":
        options.setdefault("fused", fused)
    try:
        return OPTIMIZERS[name](parameters, lr=lr, **options)
    except ValueError as error:
        raise InputError(f"optimizer '{name}': {error}") from error


def build_scheduler(choice: dict, optimizer: torch.optim.Optimizer, trainer: pl.Trainer):
    """Return what ``configure_optimizers`` must return for the schedule ``choice["name"]``.

    ``plateau`` (``monitor``, ``patience``, ``factor``, ``min_lr``) and ``exponential`` (``gamma``) change the rate
    after an epoch; ``cosine`` (``min_lr``) and ``onecycle`` (``pct_start``) after every step, over all epochs.

    Raises:
        InputError: unknown name or option.
    """
    options = dict(choice)
    name = options.pop("name")
    if name not in SCHEDULERS:
        raise unknown("scheduler", name, SCHEDULERS)
    if name == "none":
        return optimizer
    (steps, steps_per_epoch), lr = count_steps(trainer), optimizer.param_groups[0]["lr"]
    monitor = options.pop("monitor", "val_acc") if name == "plateau" else None
    try:
        match name:
            case "plateau":
                mode = "max" if monitor.endswith("acc") else "min"
                scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **options)
            case "exponential":
                scheduler = lr_scheduler.ExponentialLR(optimizer, **options)
            case "cosine":
                min_lr = options.pop("min_lr", 0.0)
                scheduler = lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=min_lr, **options)
            case "onecycle":
                scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"scheduler '{name}': {error}") from error
    # Counted in steps even where it acts once an epoch: Lightning updates "epoch" schedules after the checkpoint of
    # that epoch is written, and a continued run would miss the update.
    each = steps_per_epoch if name in ("plateau", "exponential") else 1
    config = {"scheduler": scheduler, "interval": "step", "frequency": each}
    if monitor:
        config |= {"monitor": monitor, "strict": True}
    return {"optimizer": optimizer, "lr_scheduler": config}


def count_steps(trainer: pl.Trainer) -> tuple[int, int]:
    """Return the optimizer steps of the whole training and of one epoch."""
    steps = int(trainer.estimated_stepping_batches)  # loads the data, too
    if trainer.lightning_module.automatic_optimization:
        return steps, trainer.num_training_batches
    per_epoch = trainer.train_dataloader.num_batches
    return per_epoch * trainer.max_epochs, per_epoch
