"""The learning-rate range test: train for some steps while the learning rate grows, and see where the loss falls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import load_data
from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.settings import check
from mnist_zoo.training.network import classifier_options
from mnist_zoo.training.precision import products, with_precision
from mnist_zoo.training.quiet import quiet_lightning
from mnist_zoo.training.seeding import EpochSeed

SMOOTHING = 0.95  # decay of the moving average of the loss
TOO_HIGH = 3.0  # times the lowest loss: training has diverged, and the test ends
LEAST_STEPS = 20


@dataclass(frozen=True)
class LearningRates:
    """The result of a range test.

    Attributes:
        rates: learning rate of each step, ``(S,)``.
        losses: training loss of each step in nats, ``(S,)``.
        smoothed: its moving average, corrected for its start at 0, ``(S,)``.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return int(self.smoothed.argmin())

    @property
    def suggestion(self) -> float:
        """The learning rate at which the smoothed loss falls fastest for each factor of the learning rate."""
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        return float(self.rates[slopes[: self.lowest + 1].argmin()])


def find_lr(cfg: Mapping[str, Any], low: float = 1e-6, high: float = 1.0, steps: int = 200) -> LearningRates:
    """Train a new network with a learning rate that grows by a constant factor each step (Smith 2017, section 3.3).

    The paper raises it by a constant amount; a factor covers several powers of ten. The test ends early when the loss
    diverges. ``lr`` and ``scheduler`` of the configuration are not used, and nothing is validated or written.

    Args:
        cfg: a composed configuration.
        low: learning rate of the first step.
        high: learning rate of the last step.
        steps: number of steps, one batch each.

    Raises:
        InputError: if the configuration or an argument is invalid.
        DivergedError: if the loss diverges before it has fallen.
    """
    check(cfg)
    if not 0 < low < high <= 1e6:
        raise InputError(f"low={low:g} and high={high:g}: both must be above 0, and high above low")
    if not LEAST_STEPS <= steps <= 100_000:
        raise InputError(f"steps={steps}: it must be from {LEAST_STEPS} to 100,000")
    pl.seed_everything(cfg["seed"], verbose=False)
    data = load_data(cfg)
    data.setup()
    options = classifier_options(cfg, data) | {"lr": low, "scheduler": "none"}
    classifier = LitClassifier(**options)
    growing = _Growing(low, high, steps)
    with quiet_lightning(), products(cfg["trainer"]["matmul_precision"]):
        chosen = with_precision(cfg, None, options, ["all"])
        trainer = pl.Trainer(
            accelerator=cfg["trainer"]["accelerator"],
            devices=1,
            precision=chosen["trainer"]["precision"],
            gradient_clip_val=cfg["grad_clip"],
            max_epochs=-1,
            max_steps=steps,
            callbacks=[EpochSeed(cfg["seed"]), growing],
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(classifier, datamodule=data)
    return growing.result()


class _Growing(Callback):
    """Sets the learning rate before each step, and notes the loss after it."""

    def __init__(self, low: float, high: float, steps: int):
        self._rates = np.geomspace(low, high, steps)
        self._losses: list[float] = []
        self._smoothed: list[float] = []
        self._average = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = float(self._rates[len(self._losses)])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = float(outputs["loss"])
        if trainer.should_stop or not math.isfinite(loss):  # Lightning ends the first epoch all the same
            trainer.should_stop = True
            return
        self._losses.append(loss)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        self._smoothed.append(self._average / (1 - SMOOTHING ** len(self._losses)))
        trainer.should_stop = self._smoothed[-1] > TOO_HIGH * min(self._smoothed) or len(self._losses) == len(
            self._rates
        )

    def result(self) -> LearningRates:
        """Return the learning rates and losses. Raises DivergedError if the loss has not fallen."""
        count = len(self._losses)
        found = LearningRates(self._rates[:count], np.array(self._losses), np.array(self._smoothed))
        if count < 5 or found.lowest < 3:
            raise DivergedError(f"the loss does not fall from low={self._rates[0]:g} on: choose a lower --low")
        return found
