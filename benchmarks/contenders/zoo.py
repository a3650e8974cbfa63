"""This library: what ``python -m mnist_zoo`` runs, with logging, validation and checkpoints."""

from __future__ import annotations

from benchmarks.contenders.epochs import Epochs, training_images
from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.training.run import run


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Train one epoch each turn.

    Args:
        turn: the parent's word.
        overrides: of the command line.
        folder: the run folder.
    """
    cfg = compose_config([*overrides, "epochs=1000000"])
    run(cfg, folder, callbacks=[Epochs(turn, training_images)], tune_process=True)
