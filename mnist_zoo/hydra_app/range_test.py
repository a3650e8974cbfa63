"""The learning-rate range test of the command line: its overrides, and the files that it writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.overrides import top_level_key
from mnist_zoo.settings import check
from mnist_zoo.settings.classical import is_classical
from mnist_zoo.waiting import loading_torch

if TYPE_CHECKING:
    from mnist_zoo.training.lr_range import LearningRates

# Settings that a range test does not use, and why.
UNUSED = {
    "lr": "the test finds it: --low and --high are its bounds",
    "scheduler": "the learning rate grows from --low to --high",
    "epochs": "--steps is the length of the test",
    "ema": "the test looks at the training loss",
    "early_stop": "the test ends when the loss diverges",
    "monitor": "the test looks at the training loss",
    "resume": "the test starts a new network",
    "sweep": "the test trains one network",
    "on_change": "the test trains one network",
    "callbacks": "the test has its own",
    "speed": "its steps are those of plain PyTorch",
    "logger": "the test writes a table and a plot",
    "progress": "the test shows none",
}


def range_test(overrides: Sequence[str], low: float, high: float, steps: int) -> tuple[LearningRates, Path]:
    """Run a range test, and write its plot and table to ``<output_dir>/lr_find/<overrides>/``.

    Args:
        overrides: of the command line.
        low, high: learning rates of the first and the last step.
        steps: number of steps.

    Returns:
        The result (see `mnist_zoo.training.lr_range.find_lr`), and the folder.

    Raises:
        InputError: if an override or an argument is invalid, or does nothing here.
        DivergedError: if the loss does not fall.
    """
    for word in overrides:
        key = top_level_key(word)
        if key in UNUSED:
            raise InputError(f"{word}: a range test does not use {key}: {UNUSED[key]}")
    cfg = compose_config(overrides)
    check(cfg)
    if is_classical(cfg):
        raise InputError(f"model={cfg['model']['name']}: a range test is for networks, which have a learning rate")
    with loading_torch(f"range test of {cfg['model']['name']} on {cfg['data']['name']}, {steps} steps"):
        from mnist_zoo.training.lr_range import find_lr
    found = find_lr(cfg, low, high, steps)
    from mnist_zoo.plots.learning_rates import draw_range_test

    folder = Path(cfg["output_dir"], "lr_find", job_name(overrides))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    rows = zip(found.rates, found.losses, found.smoothed, strict=True)
    table = "lr,loss,smoothed\n" + "".join(f"{rate:.6g},{loss:.6g},{mean:.6g}\n" for rate, loss, mean in rows)
    write_atomically(folder / "lr_find.csv", table)
    picture = io.BytesIO()
    title = f"{cfg['model']['name']} on {cfg['data']['name']}, {cfg['optimizer']['name']}"
    draw_range_test(found.rates, found.losses, found.smoothed, found.suggestion, title).savefig(picture, format="png")
    write_atomically(folder / "lr_find.png", picture.getvalue())
    return found, folder
