"""The library of any checkout since 0.1.0: what ``python -m mnist_zoo`` runs there.

`benchmarks.rounds` starts this module so that ``mnist_zoo`` is imported from the checkout. It uses only what all these
versions have, under the names that each of them has.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import mnist_zoo
from benchmarks.contenders.epochs import Epochs, training_images
from benchmarks.turn import Turn

# From the newest name to that of 0.1.0.
COMPOSE_CONFIG = ("mnist_zoo.hydra_app.compose", "mnist_zoo.hydra_app.commandline", "mnist_zoo.commandline")
RUN = ("mnist_zoo.training.run", "mnist_zoo.train")


def main(turn: Turn, checkout: str, overrides: list[str], folder: str) -> None:
    """Train one epoch each turn.

    Args:
        turn: the parent's word.
        checkout: the folder that ``mnist_zoo`` must have been imported from.
        overrides: of the command line.
        folder: the run folder.
    """
    place = Path(mnist_zoo.__file__).parents[1]
    if place != Path(checkout):
        raise RuntimeError(f"mnist_zoo was imported from {place}, not from {checkout}")
    cfg = find("compose_config", COMPOSE_CONFIG)([*overrides, "epochs=1000000"])
    run = find("run", RUN)
    process = {"tune_process": True} if "tune_process" in inspect.signature(run).parameters else {}
    run(cfg, folder, callbacks=[Epochs(turn, training_images)], **process)


def find(name: str, modules: tuple[str, ...]) -> Any:
    """Return the attribute `name` of the first of these modules that exists."""
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if not error.name or not module.startswith(error.name):
                raise  # the module exists, and something that it imports does not
    raise ImportError(f"no {name} in {', '.join(modules)}: this checkout is older than 0.1.0, or newer than this file")
