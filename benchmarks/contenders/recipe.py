"""A recipe: one whole training in each turn, from the first step to the last epoch's validation and checkpoint."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.training.run import run


class Trained(Exception):
    """The training has ended. The run would go on with the test set, whose time does not count."""


class _Whole(Callback):
    """Notes the time that ``Trainer.fit`` took, and ends the run there."""

    def __init__(self, turn: Turn):
        self._turn = turn

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.lap = self._turn.lap()
        self.images = trainer.current_epoch * len(trainer.datamodule.labels("train"))  # type: ignore[attr-defined]
        raise Trained


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Train a recipe from its beginning each turn, with another seed in each.

    Args:
        turn: the parent's word.
        overrides: of the command line.
        folder: for the run folders.
    """
    for seed in range(1_000_000):
        cfg, watch = compose_config([*overrides, f"seed={seed}"]), _Whole(turn)
        turn.wait()
        with suppress(Trained):
            run(cfg, Path(folder) / str(seed), callbacks=[watch], tune_process=True, brief=True)
        turn.report(watch.images, watch.lap)
