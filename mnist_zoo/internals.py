"""All uses of what other libraries do not document. Each says why there is no public way, and has a test of its own.

If an upgrade of a library breaks one of them, ``tests/test_internals.py`` names it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytorch_lightning as pl  # the command line imports this module before Lightning


def keep_tensorflow_out() -> None:
    """Let TensorBoard write without TensorFlow, for the rest of the process.

    Where TensorFlow is installed, TensorBoard's writer imports it, only to open files: that takes seconds and prints
    lines of warnings. TensorBoard has a replacement, which it uses if the module ``tensorboard.compat.notf`` exists.
    Its own build makes that module (the target ``//tensorboard/compat:no_tensorflow``); there is no setting for it.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def count_optimizer_steps(trainer: pl.Trainer, steps: int) -> None:
    """Add optimizer steps to ``trainer.global_step``, in manual optimisation.

    Lightning counts the steps of its own wrapper of the optimizer. `mnist_zoo.speed.several_steps` calls torch's
    optimizer directly, because the wrapper costs as much as a step of a small network, and has to count them itself.
    """
    trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_by(steps)


def agree_on_steps(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint resume in automatic as well as in manual optimisation, with the same ``global_step``.

    Lightning counts the optimizer steps of the two modes apart, and reads the count of the mode in use. A run may be
    resumed in the other mode (``speed=none`` after ``speed=full``).
    """
    loop = checkpoint["loops"]["fit_loop"]
    automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    manual = loop["epoch_loop.manual_optimization.optim_step_progress"]
    for count in (automatic["total"], manual["total"]):
        count["ready"] = count["completed"] = checkpoint["global_step"]


def loader_state(checkpoint: dict[str, Any]) -> dict[str, int] | None:
    """Return the position within the epoch that version 0.1.0 let Lightning save: ``position`` of ``batches`` items.

    Later versions keep it in ``MNISTDataModule.state_dict``, the documented place.
    """
    states = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader") or []
    return states[0] if states and "position" in states[0] else None


def trained_loops(epochs: int, steps: int) -> dict[str, Any]:
    """Return the state of Lightning's loops after whole epochs, for a checkpoint of a training without a Trainer.

    Only a Trainer that has trained can give it, and `mnist_zoo.stacked` trains many networks without one.

    Args:
        epochs: of the training.
        steps: optimizer steps, and batches, of all of them.
    """

    def progress(total: int, current: int, *names: str) -> dict[str, Any]:
        return {"total": dict.fromkeys(names, total), "current": dict.fromkeys(names, current)}

    two, four, batches = ("ready", "completed"), ("ready", "completed", "started", "processed"), steps // epochs
    nothing = {"optimizer": {"step": progress(0, 0, *two), "zero_grad": progress(0, 0, *two, "started")}}
    epoch = progress(epochs, epochs, *four)
    for count in epoch.values():
        count["completed"] -= 1  # callbacks save before the epoch counts as completed
    state = {
        "state_dict": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": steps},
        "epoch_loop.batch_progress": {**progress(steps, batches, *four), "is_last_batch": True},
        "epoch_loop.scheduler_progress": progress(0, 0, *two),
        "epoch_loop.automatic_optimization.state_dict": {},
        "epoch_loop.automatic_optimization.optim_progress": nothing,
        "epoch_loop.manual_optimization.state_dict": {},
        "epoch_loop.manual_optimization.optim_step_progress": progress(steps, steps, *two),
        "epoch_loop.val_loop.state_dict": {},
        "epoch_loop.val_loop.batch_progress": {**progress(1, 1, *four), "is_last_batch": True},
        "epoch_progress": epoch,
    }
    return {"fit_loop": state}
