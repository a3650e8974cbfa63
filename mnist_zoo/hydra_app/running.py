"""Which function runs a configuration: that of networks, or that of classical models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mnist_zoo.settings.classical import is_classical, without
from mnist_zoo.waiting import loading_torch


def load_run(cfg: Mapping[str, Any], *, silent: bool = False) -> Callable[..., float]:
    """Return the function that runs a configuration: `mnist_zoo.training.run.run`, or that of `mnist_zoo.classical`.

    Both take the same arguments. A line says so while PyTorch is loaded, unless `silent`.
    """
    epochs = "" if without(cfg) else f", epochs={cfg['epochs']}"
    with loading_torch(f"{cfg['model']['name']} on {cfg['data']['name']}{epochs}", silent=silent):
        if is_classical(cfg):
            from mnist_zoo.classical.run import run
        else:
            from mnist_zoo.training.run import run
    return run
