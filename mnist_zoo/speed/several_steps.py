"""Several optimizer steps for each call of ``training_step``.

Lightning's bookkeeping for a batch takes about as long as a training step of a small network. With lists of batches it
is paid once a list. The weights are the same to the last bit.

A callback with a hook on single batches (`BATCH_HOOKS`) switches this off, unless it has the attribute
``accepts_lists = True``, which says that it works with lists of batches, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import Batches, MNISTDataModule
from mnist_zoo.internals import count_optimizer_steps
from mnist_zoo.models.flops import count_flops
from mnist_zoo.optim import build_optimizer, follows_metric

IMAGES_PER_LIST = 2048
LARGEST_NETWORK = 10e6  # FLOPs of one image; on a CPU a step of a larger network takes much longer than the bookkeeping
BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad")
STEP_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")


class BatchLists:
    """An iterable of lists of consecutive batches. ``len`` counts the lists."""

    def __init__(self, batches: Batches, images: int):
        self.batches = batches
        self._per_list = max(1, images // batches.batch_size)

    @property
    def sampler(self) -> Batches:
        """The batches: Lightning sets their epoch through this attribute."""
        return self.batches

    batch_sampler = sampler  # Lightning reads both attributes

    def __len__(self) -> int:
        return -(-len(self.batches) // self._per_list)

    def __iter__(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        batches = iter(self.batches)
        while batch_list := list(islice(batches, self._per_list)):
            yield batch_list


class SeveralSteps(LitClassifier):
    """A `LitClassifier` whose ``training_step`` takes a list of batches and makes an optimizer step for each."""

    steps_are_watched = True  # see `_steps_are_watched`
    _schedule: dict[str, Any] | None = None

    def training_step(self, batch: list[tuple[Tensor, Tensor]], batch_idx: int) -> None:  # type: ignore[override]
        optimizer: Any = self.optimizers(use_pl_optimizer=self.steps_are_watched)
        all_labels = torch.cat([labels for _, labels in batch])
        # Copies, because a small tensor within the freed memory of a step keeps the next step from reusing it.
        all_logits = torch.empty(len(all_labels), self.hparams["num_classes"], device=all_labels.device)
        start, steps_before = 0, self.trainer.global_step
        for number, (images, labels) in enumerate(batch, start=1):
            loss, logits = self.compute_loss(images, labels)
            optimizer.zero_grad()
            if self.steps_are_watched:
                self.manual_backward(loss)
            else:
                loss.backward()
            optimizer.step()
            if self._schedule is not None and (steps_before + number) % self._schedule["frequency"] == 0:
                self._schedule["scheduler"].step()
            all_logits[start : start + len(labels)] = logits.detach()
            start += len(labels)
        if not self.steps_are_watched:
            count_optimizer_steps(self.trainer, len(batch))
        self.train_metrics.update(all_logits, all_labels)

    def count_steps(self) -> tuple[int, int]:
        super().count_steps()  # loads the training data
        steps_per_epoch = len(self.trainer.train_dataloader.batches)  # type: ignore[union-attr]  # BatchLists
        return steps_per_epoch * int(self.trainer.max_epochs or 1), steps_per_epoch

    def configure_optimizers(self) -> Any:
        configured = super().configure_optimizers()
        self._schedule = configured["lr_scheduler"] if isinstance(configured, dict) else None
        return configured

    # Loggers would count lists.
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("step", float(self.trainer.global_step))

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("step", float(self.trainer.global_step))


def apply(classifier: LitClassifier, data: MNISTDataModule, trainer: pl.Trainer) -> bool:
    """Let a classifier train on lists of batches, where this is faster and nothing depends on single batches."""
    if type(classifier) is not LitClassifier or not _batches_may_be_grouped(classifier, trainer):
        return False
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if on_cpu and count_flops(classifier.model, data.image_shape) > LARGEST_NETWORK:
        return False
    grouped: Any = classifier
    grouped.__class__ = SeveralSteps  # the same attributes and parameters, another training step
    grouped.automatic_optimization = False
    grouped.steps_are_watched = _steps_are_watched(trainer)
    plain_loader = partial(type(data).train_dataloader, data)
    # An attribute of this object, which Lightning finds before the method of its class.
    setattr(data, "train_dataloader", lambda: BatchLists(plain_loader(), IMAGES_PER_LIST))  # noqa: B010  (for mypy)
    return True


def _steps_are_watched(trainer: Any) -> bool:
    """Return whether single steps must go through Lightning's wrapper of the optimizer."""
    return (
        trainer.precision != "32-true"
        or not isinstance(trainer.profiler, PassThroughProfiler)
        or any(_overrides(callback, hook) for callback in trainer.callbacks for hook in STEP_HOOKS)
    )


def _batches_may_be_grouped(classifier: LitClassifier, trainer: Any) -> bool:
    """Return whether neither callbacks nor settings of the Trainer depend on single batches."""
    callbacks = [callback for callback in trainer.callbacks if not getattr(callback, "accepts_lists", False)]
    return (
        isinstance(trainer.strategy, SingleDeviceStrategy)
        and not any(_overrides(callback, hook) for callback in callbacks for hook in BATCH_HOOKS)
        and not follows_metric(classifier.hparams["scheduler"]["name"])  # Lightning steps it, after validation
        and steps_alone(classifier)
        and trainer.gradient_clip_val is None
        and trainer.accumulate_grad_batches == 1
        and (trainer.limit_train_batches, trainer.overfit_batches, trainer.val_check_interval) == (1.0, 0.0, 1.0)
        and (trainer.max_steps, trainer.min_steps) == (-1, None)
    )


def steps_alone(classifier: LitClassifier) -> bool:
    """Return whether the optimizer needs no closure that computes the loss again, as L-BFGS does."""
    step = build_optimizer(
        classifier.hparams["optimizer"], classifier.model.parameters(), classifier.hparams["lr"]
    ).step
    return all(parameter.default is not parameter.empty for parameter in inspect.signature(step).parameters.values())


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
