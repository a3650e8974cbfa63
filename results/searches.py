"""``python -m results searches``: keep what searches found as rows of ``results/searches.csv``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.statistics import accuracy_words, mean_interval
from mnist_zoo.report.studies import read_trials
from mnist_zoo.runs import read_curves, read_metrics
from results.collect import read_kept

FILE = "searches.csv"
KEY = ["study", "seed"]
COLUMNS = [
    *("algorithm", "data", "n_val", "epochs_a_trial", *KEY, "trials", "pruned", "epochs", "val_acc", "test_acc"),
    *("settings", "device", "date"),
]
NAMED = "user_attrs_algorithm"  # the column of trials.csv


def collect_searches(folders: Iterable[Path], results: Path) -> dict[Path, int]:
    """Add one row for each study to ``<results>/searches.csv``; a row replaces an older one of this study and seed.

    ``epochs`` counts all epochs that were trained, also of pruned and failed trials. ``test_acc`` is that of the trial
    with the highest validation accuracy, ``val_acc``.

    Raises:
        InputError: if a folder is not one of a study with a finished trial.
        StorageError: if the file cannot be written.
    """
    rows = pd.DataFrame([_row(Path(folder)) for folder in folders], columns=COLUMNS)
    path = results / FILE
    old = read_searches(results)
    joined = rows if old is None else pd.concat([old, rows])
    joined = joined.drop_duplicates(KEY, keep="last").sort_values(["algorithm", "epochs_a_trial", *KEY])
    with storage_errors(path):
        results.mkdir(parents=True, exist_ok=True)
    write_atomically(path, joined.to_csv(index=False))
    return {path: len(rows)}


def read_searches(results: Path) -> pd.DataFrame | None:
    """Return the rows of ``searches.csv``, or None if there is no file; raises InputError if it is damaged."""
    return read_kept(results / FILE, COLUMNS)


def _row(folder: Path) -> dict[str, Any]:
    trials = read_trials(folder)
    if NAMED not in trials:
        raise InputError(
            f"{folder}: its trials do not name their algorithm, as those of earlier versions: search again"
        )
    complete = trials[trials["state"] == "COMPLETE"]
    if complete.empty:
        raise InputError(f"{folder} has no finished trial")
    best = complete.sort_values("value", ascending=False, kind="stable").iloc[0]
    run = folder / "trials" / str(best["number"])
    metrics = read_metrics(run)
    if metrics is None:
        raise InputError(f"{run} is not a finished run folder (it has no metrics.json)")
    places = [folder / "trials" / str(number) for number in trials["number"]]
    chosen = {name.removeprefix("params_"): best[name] for name in map(str, trials) if name.startswith("params_")}
    return {
        "algorithm": best[NAMED],
        "data": metrics["data"],
        "n_val": metrics["n_val"],
        "epochs_a_trial": metrics["epochs"],
        "study": folder.name,
        "seed": metrics["seed"],
        "trials": len(trials),
        "pruned": int((trials["state"] == "PRUNED").sum()),
        "epochs": sum(len(read_curves(place)) for place in places if place.is_dir()),
        "val_acc": metrics["val_acc"],
        "test_acc": metrics["test_acc"],
        "settings": " ".join(f"{key}={value}" for key, value in chosen.items()),
        "device": metrics["device"],
        "date": metrics["date"],
    }


def searches_table(rows: pd.DataFrame) -> list[str]:
    """Return a table with a row for each algorithm and length of a trial: means over studies with their intervals."""
    header = ("algorithm", "data", "trials x epochs", "epochs trained", "studies", "validation %", "test %")
    body = []
    for key, own in rows.groupby(["data", "n_val", "algorithm", "epochs_a_trial"]):
        data, _, algorithm, epochs = key
        trials = "/".join(map(str, sorted(own["trials"].unique())))
        trained = f"{own['epochs'].mean():.0f}"
        cells = [_cell(own[column]) for column in ("val_acc", "test_acc")]
        body.append((escape(str(algorithm)), escape(str(data)), f"{trials} x {epochs}", trained, len(own), *cells))
    return markdown(header, body)


def _cell(accuracies: pd.Series) -> str:
    values = 100 * accuracies.to_numpy(dtype=float)
    return accuracy_words(*mean_interval(values), values.min(), values.max())
