"""``python -m results collect``: keep finished runs as rows of ``results/<experiment>.csv``.

Runs of no experiment go to ``zoo.csv``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.report.ensembles import ensembles
from mnist_zoo.report.published import measured, rows_of
from mnist_zoo.report.reading import FIXED, GOALS, name_configurations, read_runs
from mnist_zoo.runs import Damaged, read_predictions
from mnist_zoo.runs.identity import is_neutral
from results.experiments import EXPERIMENTS, ZOO
from results.predictions import add as add_predictions
from results.predictions import clean_accuracies

COLUMNS = [
    *("model", "data", "lr", "seed", "epochs_run", "best_epoch", "num_params", "flops", "n_train", "n_val", "n_test"),
    *(f"{split}_{metric}" for split in ("train", "val", "test") for metric in ("acc", "loss")),
    *("fit_seconds", "train_images_per_second", "device", "date", "overrides", "settings"),
]
# A classical model has none of the first, and only it has the last. Rows of version 0.2.0 lack the last.
OF_SOME = ("lr", "epochs_run", "best_epoch", "num_params", "flops", "train_images_per_second", "fitted_bytes")
# Columns that older rows lack: the first epoch with this validation accuracy, "inf" if there is none.
SINCE_0_2 = [f"epochs_to_{goal}" for goal in GOALS]
# Columns of runs whose labels consist of parts: pairs of digits.
PARTS = [f"{split}_part_acc" for split in ("val", "test")]
WHOLE = ["epochs_run", "best_epoch", "num_params", "flops"]  # whole numbers, also beside models that lack them
VERSIONS = ("mnist_zoo", "python", "torch", "pytorch-lightning")
VOTES_FILE = "ensemble_votes.csv"


def collect(
    folders: Iterable[str | Path], results: str | Path = "results", damaged: Damaged | None = None
) -> dict[Path, int]:
    """Add finished runs to ``<results>/<experiment>.csv``, one row for each run, and keep their predictions.

    A row replaces an older row of the same configuration and seed.

    Args:
        folders: sweeps or run folders.
        results: folder of the CSV files.
        damaged: collects the damaged run folders, which are left out. Each is named on stderr.

    Returns:
        The number of rows that were added or replaced, for each file written.

    Raises:
        InputError: if there is no finished run, or none of a known experiment, or a CSV file is damaged.
        StorageError: if a file cannot be written.
    """
    table = read_runs(folders, damaged).table
    table["experiment"] = table["experiment"].fillna(ZOO)
    table = table[table["experiment"].isin([ZOO, *EXPERIMENTS])]
    if table.empty:
        raise InputError(f"none of these runs is of a known experiment: {', '.join(EXPERIMENTS)}")
    target = Path(results)
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    written: dict[Path, int] = {}
    for experiment, runs in table.groupby("experiment"):
        path = target / f"{experiment}.csv"
        rows = pd.DataFrame([_record(run) for _, run in runs.iterrows()])
        old = _read_rows(path) if path.exists() else rows[:0]
        rows = pd.concat([old, rows]) if len(old) else rows
        rows[WHOLE] = rows[WHOLE].astype("Int64")
        rows = rows.drop_duplicates(["settings", "seed"], keep="last").sort_values(["model", "data", "lr", "seed"])
        write_atomically(path, rows.to_csv(index=False))
        add_predictions(target, str(experiment), runs)
        written[path] = len(runs)
        if experiment == "ensemble":
            written |= _collect_votes(runs, target / VOTES_FILE)
    return written


def _record(run: pd.Series) -> dict[str, Any]:
    """Return a run's row: values of metrics.json, and published metrics that only its predictions can give."""
    kept = [override for override in run["overrides"] if not (is_neutral(override) or override.startswith("seed="))]
    record = {column: run.get(column) for column in COLUMNS} | {"overrides": " ".join(kept)}
    record |= {column: run[column] for column in SINCE_0_2}
    record |= {column: run[column] for column in PARTS if not math.isnan(run.get(column, math.nan))}
    if not math.isnan(run["fitted_bytes"]):
        record["fitted_bytes"] = run["fitted_bytes"]
    record |= {package: run["versions"].get(package) for package in VERSIONS}
    for row in rows_of(run):
        if row.ours not in record:
            values = measured(row.ours, pd.DataFrame([run]))
            if values is not None:
                record[row.ours] = values[0] / 100 if row.unit == "%" else values[0]
    return record


def _collect_votes(runs: pd.DataFrame, path: Path) -> dict[Path, int]:
    """Write the accuracies of ensembles of runs that share their images, if there are any."""
    found = [
        each
        for _, shared in runs[runs["split"] == FIXED].groupby(["data", "images"])
        for each in ensembles(shared, [read_predictions(folder) for folder in shared["folder"]])
    ]
    if not found:
        return {}
    rows = pd.DataFrame([vars(each) | {"members": "; ".join(each.members)} for each in found])
    write_atomically(path, rows.to_csv(index=False))
    return {path: len(rows)}


def _read_rows(path: Path, **options: Any) -> pd.DataFrame:
    """Return the rows of an experiment's CSV file; raises InputError if it is damaged."""
    rows = _read_csv(path, dtype={"overrides": str}, **options)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise InputError(f"{path} is damaged (it lacks {', '.join(missing)}): restore it with git")
    return rows


def read_results(results: str | Path, experiment: str) -> pd.DataFrame | None:
    """Return an experiment's rows as in `Runs.table` (without folders), or None if nothing was measured yet."""
    path = Path(results) / f"{experiment}.csv"
    if not path.exists():
        return None
    table = _read_rows(path, keep_default_na=False).assign(experiment=experiment)
    try:
        settings = [json.loads(text) for text in table["settings"]]
    except ValueError as error:
        raise InputError(f"{path} is damaged (settings: {error}): restore it with git") from error
    table["overrides"] = [text.split() for text in table["overrides"]]
    table["augment"] = [each["augment"] for each in settings]
    table["split"] = [each.get("split", FIXED) for each in settings]
    table["model_options"] = [each["model_options"] for each in settings]
    for column in (*SINCE_0_2, *OF_SOME):
        table[column] = pd.to_numeric(table[column], errors="coerce") if column in table else math.nan
    table["label"] = name_configurations(table)
    return table.assign(clean_test_acc=clean_accuracies(table, Path(results), experiment))


def read_kept(path: Path, columns: list[str]) -> pd.DataFrame | None:
    """Return the rows of a CSV file with these columns, None if there is none; raises InputError if it is damaged."""
    if not path.exists():
        return None
    rows = _read_csv(path)
    if list(rows.columns) != columns:
        raise InputError(f"{path} is damaged (its columns are other ones): restore it with git")
    return rows


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # all errors of pandas, and a file that is not UTF-8
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())}): restore it with git") from error
