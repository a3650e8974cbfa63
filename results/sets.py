"""``python -m results sets FOLDER...``: ensembles of quick recipes, chosen on validation images and tested once each.

The seeds of each recipe are divided among `SETS` sets that share no network, so that the sets are independent
repetitions. Within a set, members and their weights are chosen by the validation loss, after a temperature for each
network: label smoothing makes networks unsure, and without temperatures the loss prefers networks trained without it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import fit_temperature, nll, softmax
from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.machine import versions
from mnist_zoo.plots.style import duration
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.statistics import mean_interval, plus_minus
from mnist_zoo.runs import read_predictions
from mnist_zoo.runs.identity import is_neutral
from results.collect import read_kept

FILE = "sets.csv"
SETS = 5
# Recipes whose networks may become members, with the number of seeds that each needs for all sets.
MEMBERS = {"fast995": 10, "fast997": 10, "tiny": 5, "committee": 5}
CHOICE = "loss, with temperatures"  # how members are chosen; rows of earlier choices stay in the file
DRAWS = 20  # at most: after 20 draws, weights are multiples of 1/20
AIM = 0.998
COLUMNS = [
    *("choice", "set", "networks", "members", "val_acc", "val_loss", "test_acc", "best_member", "best_member_acc"),
    *("num_params", "fit_seconds", "device", "date", "mnist_zoo", "torch"),
]


def collect_sets(folders: Iterable[Path], results: Path) -> pd.DataFrame:
    """Choose and test the ensemble of each set, write their rows to ``sets.csv``, and return them.

    Rows of earlier ways to choose stay in the file, so that it counts every reading of the test set.
    ``fit_seconds`` is the training time of all networks of the set, also of those that were not chosen.

    Args:
        folders: sweeps or run folders of all recipes of `MEMBERS`.
        results: folder of the CSV file.

    Raises:
        InputError: if a seed of a recipe is missing, the sets differ in their number of networks, or the runs do not
            share validation and test images.
        StorageError: if the file cannot be written.
    """
    table = read_runs(folders).table
    table = table[table["experiment"].isin(MEMBERS)]
    for recipe, seeds in MEMBERS.items():
        lacking = sorted(set(range(seeds)) - set(table.loc[table["experiment"] == recipe, "seed"]))
        if lacking:
            raise InputError(f"no finished run of {recipe} with seed={','.join(map(str, lacking))}: train it first")
    sizes = [int(_in_set(table, number).sum()) for number in range(SETS)]
    if len(set(sizes)) > 1:
        raise InputError(
            f"the sets have {sizes} networks: train those that the smaller sets lack (such as a width of a seed)"
        )
    if table["images"].nunique() > 1:
        raise InputError("the runs do not share validation and test images: give runs of one data set and split")
    rows = pd.DataFrame([_choose(number, table[_in_set(table, number)]) for number in range(SETS)], columns=COLUMNS)
    with storage_errors(results):
        results.mkdir(parents=True, exist_ok=True)
    kept = read_sets(results)
    kept = rows if kept is None else pd.concat([kept[kept["choice"] != CHOICE], rows])
    write_atomically(results / FILE, kept.to_csv(index=False))
    return rows


def read_sets(results: Path) -> pd.DataFrame | None:
    """Return the rows of ``sets.csv``, or None if there is no file; raises InputError if it is damaged."""
    return read_kept(results / FILE, COLUMNS)


def table_of_sets(results: Path) -> list[str]:
    """Return the section of ``records.md``."""
    words = ", ".join(f"{seeds // SETS} of `{recipe}`" for recipe, seeds in MEMBERS.items())
    lines = [
        "## Ensembles of quick recipes",
        "",
        f"At least {100 * AIM:g} % over {SETS} sets, trained in less than an hour each. Seeds in a set: {words} "
        "(with each width of the digits); no network is in two sets. Members are drawn one by one: each time the "
        "network that lowers the validation loss of the mean probability most, perhaps one that was drawn before, so "
        "that members have weights (Caruana et al. 2004). *With temperatures*: each network's logits are first divided "
        "by the temperature that has the lowest validation loss. Each ensemble reads the test set once; its networks "
        "did so before, for their own recipes.",
        "",
        "`python -m results sets " + " ".join(f"outputs/sweeps/{recipe}" for recipe in MEMBERS) + "`",
        "",
    ]
    rows = read_sets(results)
    if rows is None:
        return [*lines, "No set has been chosen yet."]
    header = (
        "choice",
        "set",
        "test accuracy",
        "validation",
        "best member on validation",
        "members and draws",
        "parameters",
    )
    body = [
        (
            row["choice"],
            row["set"],
            f"{100 * row['test_acc']:.2f} %",
            f"{100 * row['val_acc']:.2f} %",
            f"{100 * row['best_member_acc']:.2f} % ({escape(row['best_member'])})",
            escape(row["members"]),
            f"{row['num_params']:,}",
        )
        for row in rows.to_dict("records")
    ]
    networks = rows["networks"].iloc[0]
    means = [f"{choice}: {_mean(own)}" for choice, own in rows.groupby("choice", sort=False)]
    return [
        *lines,
        f"Mean test accuracy over the sets, by choice: {'; '.join(means)}. Training all {networks} networks of "
        f"a set took {duration(rows['fit_seconds'].median())} (median) on {escape(rows['device'].iloc[-1])}, beside "
        f"other work. Tests: {len(rows)}.",
        "",
        *markdown(header, body),
    ]


def _mean(rows: pd.DataFrame) -> str:
    mean, half = mean_interval(100 * rows["test_acc"].to_numpy())
    return f"{plus_minus(mean, half, 3)} %, {'reached' if mean >= 100 * AIM else '**missed**'}"


def _in_set(table: pd.DataFrame, number: int) -> pd.Series:
    """Return which runs are of a set: seeds ``number``, ``number + SETS``, ... of each recipe."""
    return (table["seed"] % SETS == number) & (table["seed"] < table["experiment"].map(MEMBERS))


def _choose(number: int, runs: pd.DataFrame) -> dict[str, Any]:
    predictions = [read_predictions(folder) for folder in runs["folder"]]
    names = [_name(run) for _, run in runs.iterrows()]
    labels = predictions[0]["val_labels"]
    temperatures = [fit_temperature(arrays["val_logits"], labels) for arrays in predictions]
    val = np.stack([softmax(predictions[i]["val_logits"] / t) for i, t in enumerate(temperatures)])
    weights = np.bincount(draw_members(val, labels), minlength=len(runs))
    chosen = np.flatnonzero(weights)
    best = int(np.argmin([nll(each, labels) for each in val]))
    mean_val = np.average(val, axis=0, weights=weights)
    test_labels = predictions[0]["labels"]
    test = [softmax(predictions[i]["logits"] / temperatures[i]) for i in chosen]
    mean_test = np.average(test, axis=0, weights=weights[chosen])
    counts = Counter({names[i]: int(weights[i]) for i in chosen})
    return {
        "choice": CHOICE,
        "set": number,
        "networks": len(runs),
        "members": "; ".join(f"{name} x{count}" for name, count in counts.most_common()),
        "val_acc": float((mean_val.argmax(axis=1) == labels).mean()),
        "val_loss": nll(mean_val, labels),
        "test_acc": float((mean_test.argmax(axis=1) == test_labels).mean()),
        "best_member": names[best],
        "best_member_acc": float(runs["test_acc"].iloc[best]),
        "num_params": int(runs["num_params"].iloc[chosen].sum()),
        "fit_seconds": round(float(runs["fit_seconds"].sum()), 1),
        "device": "; ".join(sorted(set(runs["device"]))),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **{package: versions()[package] for package in ("mnist_zoo", "torch")},
    }


def _name(run: pd.Series) -> str:
    """Return a run's recipe, what was set besides, and its seed."""
    kept = [word for word in run["overrides"] if not (is_neutral(word) or word.startswith(("experiment=", "seed=")))]
    return " ".join([run["experiment"], *kept, f"seed={run['seed']}"])


def draw_members(probabilities: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the members in the order in which they are drawn, at most `DRAWS`; a member may be drawn again.

    Args:
        probabilities: of all networks on the validation images, ``(M, N, C)``.
        labels: ``(N,)``.
    """
    drawn: list[int] = []
    total, loss = np.zeros_like(probabilities[0]), np.inf
    while len(drawn) < DRAWS:
        losses = [nll((total + each) / (len(drawn) + 1), labels) for each in probabilities]
        best = int(np.argmin(losses))
        if losses[best] >= loss:
            break
        drawn.append(best)
        total, loss = total + probabilities[best], losses[best]
    return drawn
