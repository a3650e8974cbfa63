"""A recipe: one whole training in each turn, from reading the data to the last epoch's validation and checkpoint."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.training.run import run
from results.candidates import StopBeforeTest, Validated


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Train a recipe from its beginning each turn, with another seed in each.

    Args:
        turn: the parent's word.
        overrides: of the command line.
        folder: for the run folders.
    """
    for seed in range(1_000_000):
        cfg, watch = compose_config([*overrides, f"seed={seed}"]), StopBeforeTest()
        turn.wait()
        with suppress(Validated):
            run(cfg, Path(folder) / str(seed), callbacks=[watch], tune_process=True, brief=True)
        turn.report(watch.images)
