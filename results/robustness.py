"""``python -m results robustness``: keep what was measured beyond accuracy as rows of ``results/robustness.csv``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.statistics import accuracy_words, mean_interval
from mnist_zoo.runs import Damaged
from mnist_zoo.runs.identity import is_neutral

FILE = "robustness.csv"
# Lists that say what the numbers of other lists belong to.
STRENGTHS = ("epsilons", "shares", "severities", "names", "coverage")
KEY = ["experiment", "overrides", "seed", "test", "settings", "metric", "strength", "data"]
COLUMNS = [*KEY[:-1], "model", "data", "images", "value", "seconds", "device", "date", "mnist_zoo", "torch"]


def collect_measurements(
    folders: Iterable[str | Path], results: str | Path = "results", damaged: Damaged | None = None
) -> dict[Path, int]:
    """Add the measurements of finished runs on the test split to ``<results>/robustness.csv``: a row for each number.

    A row replaces an older row of the same run, test, settings and number.

    Args:
        folders: sweeps or run folders.
        results: folder of the CSV file.
        damaged: collects the damaged run folders, which are left out.

    Returns:
        The number of rows that were added or replaced, with the file.

    Raises:
        InputError: if nothing was measured, or the file is damaged.
        StorageError: if the file cannot be written.
    """
    table = read_runs(folders, damaged).table
    rows = pd.DataFrame([row for _, run in table.iterrows() for row in _rows(run)], columns=COLUMNS)
    if rows.empty:
        raise InputError("nothing was measured of these runs: python -m mnist_zoo.evaluate FOLDER")
    path = Path(results) / FILE
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    count, old = len(rows), read_robustness(results)
    rows = rows if old is None else pd.concat([old, rows])
    rows = rows.astype(dict.fromkeys(KEY, str)).drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable")
    write_atomically(path, rows.to_csv(index=False))
    return {path: count}


def read_robustness(results: str | Path) -> pd.DataFrame | None:
    """Return the rows of ``robustness.csv``, or None if there is no file; raises InputError if it is damaged."""
    path = Path(results) / FILE
    if not path.exists():
        return None
    try:
        rows = pd.read_csv(path, dtype=dict.fromkeys(KEY, str), keep_default_na=False)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())}): restore it with git") from error
    if list(rows.columns) != COLUMNS:
        raise InputError(f"{path} is damaged (its columns are other ones): restore it with git")
    return rows


def _rows(run: pd.Series) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run."""
    overrides = [word for word in run["overrides"] if not (is_neutral(word) or word.startswith("seed="))]
    for measurement in run["evaluation"].values():
        settings = measurement["settings"]
        if settings.get("split", "test") != "test":
            continue
        common = {
            "experiment": run["experiment"] or "",
            "overrides": " ".join(overrides),
            "model": run["model"],
            "seed": str(run["seed"]),
            "settings": json.dumps(settings, sort_keys=True),
            **{key: measurement[key] for key in ("test", "data", "images", "seconds", "device", "date")},
            **{package: measurement["versions"].get(package) for package in ("mnist_zoo", "torch")},
        }
        for metric, strength, value in numbers_of(measurement["values"]):
            yield common | {"metric": metric, "strength": strength, "value": value}


def numbers_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, float]]:
    """Yield ``(metric, strength, number)`` for each number in a test's values; single ones have no strength."""
    strengths: list[float | str] = next((values[name] for name in STRENGTHS if name in values), [])
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{prefix}{name}", "", value
        elif isinstance(value, list) and name not in STRENGTHS and len(value) == len(strengths):
            for strength, each in zip(strengths, value, strict=True):
                if isinstance(each, (int, float)):
                    yield f"{prefix}{name}", strength if isinstance(strength, str) else f"{strength:g}", each


# test, strength: a column of the table
SHOWN = (
    *(("clean", ""), ("fgsm", "0.1"), ("fgsm", "0.3"), ("pgd", "0.1"), ("pgd", "0.2"), ("pgd", "0.3")),
    *(("pgd_l2", "2"), ("square", "0.1"), ("square", "0.3"), ("masking", "0.5")),
)


def robustness_table(rows: pd.DataFrame) -> list[str]:
    """Return a table of accuracies (%): a row for each configuration, mean and 95 % interval over its seeds."""
    accuracy = rows[rows["metric"] == "accuracy"]
    header = ("configuration", "data", "seeds", *(f"{test} {strength}".strip() for test, strength in SHOWN))
    body = []
    for key, own in accuracy.groupby(["experiment", "overrides", "model", "data"]):
        experiment, overrides, model, data = map(str, key)
        words = " ".join(word for word in overrides.split() if not word.startswith(("model=", "experiment=", "data=")))
        name = " ".join(word for word in (model, words, f"({experiment})" if experiment else "") if word)
        cells = [_cell(own[(own["test"] == test) & (own["strength"] == strength)]) for test, strength in SHOWN]
        body.append((escape(name), escape(data), own["seed"].nunique(), *cells))
    return markdown(header, body)


def _cell(own: pd.DataFrame) -> str:
    """Return mean and interval over seeds; of several settings, those on the most images with the most steps."""
    if own.empty:
        return "-"
    settings = max(own["settings"].unique(), key=lambda text: _work(own[own["settings"] == text], text))
    values = 100 * own.loc[own["settings"] == settings, "value"].astype(float).to_numpy()
    return accuracy_words(*mean_interval(values), values.min(), values.max())


def _work(own: pd.DataFrame, settings: str) -> tuple[int, int, int]:
    chosen = json.loads(settings)
    return own["seed"].nunique(), int(own["images"].max()), chosen.get("steps", 1) * chosen.get("restarts", 1)
