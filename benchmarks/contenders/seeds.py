"""Whole trainings of this library, a seed a turn, for their accuracy."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import mnist_zoo.training.run
from benchmarks.contenders.zoo import take_out
from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.runs import read_metrics


def main(turn: Turn, overrides: list[str], folder: str, off: list[str]) -> None:
    """Train seeds 0, 1, 2, ... a turn each, without the levers `off`, and report each one's test accuracy."""
    further, callbacks = take_out(off)
    for seed in count():
        turn.wait()
        run = Path(folder) / str(seed)
        mnist_zoo.training.run.run(compose_config([*overrides, *further, f"seed={seed}"]), run, callbacks=callbacks)
        metrics = read_metrics(run)
        turn.report(metrics["n_train"] * metrics["epochs_run"], seed=seed, test_acc=metrics["test_acc"])
