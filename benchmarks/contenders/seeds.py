"""Complete trainings with this library, one seed each turn, for their accuracy."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.runs import read_metrics
from mnist_zoo.training.run import run


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Train with seeds 0, 1, 2, ..., one each turn, and report the test accuracy of each (see `zoo.main`)."""
    for seed in count():
        turn.wait()
        path = Path(folder) / str(seed)
        run(compose_config([*overrides, f"seed={seed}"]), path, tune_process=True)
        metrics = read_metrics(path)
        assert metrics is not None  # the run has finished
        turn.report(metrics["n_train"] * metrics["epochs_run"], seed=seed, test_acc=metrics["test_acc"])
