"""``python -m results candidate RECIPE OVERRIDE...``: what a recipe is chosen by, its accuracy on validation images.

A recipe is chosen by its mean validation accuracy over `SPLITS` splits of the training images, and each split has
another seed. The test set is not read: training ends before it would be.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.machine import versions
from mnist_zoo.runs import read_curves
from mnist_zoo.runs.identity import is_neutral
from mnist_zoo.training.evaluation import device_name
from mnist_zoo.training.run import run
from results.collect import read_kept

FILE = "candidates.csv"
SPLITS = 3
COLUMNS = [
    *("recipe", "settings", "split_seed", "val_acc", "fit_seconds", "num_params", "device", "date", "mnist_zoo"),
    "torch",
]
NUMBERS = ("split_seed", "val_acc", "fit_seconds", "num_params")


class Validated(Exception):
    """The training has ended; the run would go on with the test set."""


class StopBeforeTest(Callback):
    """Ends a run with `Validated` when the training has ended, and keeps its time, images, parameters and device."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self._started
        self.images = trainer.current_epoch * len(trainer.datamodule.labels("train"))  # type: ignore[attr-defined]
        self.parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        self.device = device_name(trainer.strategy.root_device)
        raise Validated


def measure(recipe: str, settings: Sequence[str], results: Path) -> pd.DataFrame:
    """Train a candidate once for each split, add a row for each to ``candidates.csv``, and return its rows.

    Splits that have a row already are not trained again. Settings that cannot change a result are not part of a row.

    Args:
        recipe: for which this is a candidate.
        settings: overrides of the command line. The seeds are those of the splits.
        results: folder of the CSV file.

    Raises:
        InputError: if a setting is invalid, or the file is damaged.
    """
    for word in settings:
        if word.lstrip("+").startswith(("seed=", "data.split_seed=")):
            raise InputError(f"{word}: each of the {SPLITS} splits has a seed of its own; leave it out")
    name = " ".join(word for word in settings if not is_neutral(word))
    with storage_errors(results):
        results.mkdir(parents=True, exist_ok=True)
    for split in range(SPLITS):
        if split not in set(_rows(results, recipe, name)["split_seed"]):
            row = {"recipe": recipe, "settings": name, "split_seed": split} | _train(settings, split)
            table = read_candidates(results)  # again: other commands write rows while this one trains
            table = pd.concat([table, pd.DataFrame([row])]) if len(table) else pd.DataFrame([row], columns=COLUMNS)
            write_atomically(results / FILE, table.to_csv(index=False))
    return _rows(results, recipe, name)


def _rows(results: Path, recipe: str, settings: str) -> pd.DataFrame:
    """Return the rows of one candidate."""
    table = read_candidates(results)
    return table[(table["recipe"] == recipe) & (table["settings"] == settings)]


def read_candidates(results: Path) -> pd.DataFrame:
    """Return the rows of ``candidates.csv``, none if there is no file; raises InputError if it is damaged."""
    rows = read_kept(results / FILE, COLUMNS)
    if rows is None:
        return pd.DataFrame(columns=COLUMNS)
    for column in NUMBERS:
        if not np.isfinite(pd.to_numeric(rows[column], errors="coerce")).all():
            raise InputError(f"{results / FILE} is damaged ({column}: not a number): restore it with git")
    return rows


def _train(settings: Sequence[str], split: int) -> dict[str, object]:
    """Return the columns of one training."""
    words = [*settings, f"seed={split}", f"data.split_seed={split}", "logger=none", "data.fallback=null"]
    watch = StopBeforeTest()
    with tempfile.TemporaryDirectory() as folder:
        with suppress(Validated):
            run(compose_config(words), folder, callbacks=[watch], tune_process=True, brief=True)
        curves = read_curves(Path(folder))
    return {
        "val_acc": max(row["val_acc"] for row in curves),
        "fit_seconds": round(watch.seconds, 3),
        "num_params": watch.parameters,
        "device": watch.device,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **{package: versions()[package] for package in ("mnist_zoo", "torch")},
    }
