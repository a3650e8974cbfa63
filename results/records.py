"""``results/records.md``: what the recipes for time, accuracy and size reach, written from the CSV files alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mnist_zoo.plots.style import duration
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.statistics import mean_interval, plus_minus
from results.candidates import SPLITS, read_candidates
from results.collect import read_results
from results.rows import command
from results.sets import table_of_sets

FILE = "records.md"


class Recipe(NamedTuple):
    """What a recipe, which is an experiment, is to reach.

    Attributes:
        aim: least mean test accuracy over its seeds, a fraction.
        seeds: number of them.
        words: what else it aims at.
    """

    aim: float
    seeds: int
    words: str


RECIPES = {
    "fast99": Recipe(0.99, 20, "in half the time of version 0.1.0"),
    "fast995": Recipe(0.995, 10, "in less than 20 s on two cores"),
    "fast997": Recipe(0.997, 10, "in less than 5 minutes on two cores"),
    "tiny": Recipe(0.994, 5, "with fewer than 8,000 parameters"),
    "tiny99": Recipe(0.99, 5, "with as few parameters as possible"),
    "fashion95": Recipe(0.95, 3, "on Fashion-MNIST, in as little time as possible"),
}
INTRODUCTION = f"""\
# Records

Written by `python -m results render` from the CSV files here.

A recipe is chosen by its mean validation accuracy over {SPLITS} splits of the training images (`candidates.csv`, made
by `python -m results candidate`, which does not read the test set). Then it is frozen: its seeds are trained, and each
reads the test set once. A recipe that misses its aim after that is recorded as missed. *Tests* counts every reading of
the test set for a recipe, also with settings that it had before. Accuracies are means over seeds with their 95 %
intervals (Student's t). Seconds are the median of the training parts of the epochs, on the device named, beside other
work; [benchmarks/results.md](../benchmarks/results.md) has them side by side.
"""


def records_page(results: Path) -> str:
    """Return the text of ``records.md``; raises InputError if a CSV file is damaged."""
    candidates = read_candidates(results)
    lines = [INTRODUCTION]
    for name, recipe in RECIPES.items():
        wanted = f"At least {100 * recipe.aim:g} % over {recipe.seeds} seeds, {recipe.words}."
        lines += [f"## `{name}`", "", wanted, f"`{command(name, (), range(recipe.seeds))}`", ""]
        lines += [*_tested(name, recipe, read_results(results, name)), ""]
        lines += [*_candidates(candidates[candidates["recipe"] == name]), ""]
    return "\n".join([*lines, *table_of_sets(results), ""])


def _tested(name: str, recipe: Recipe, table: pd.DataFrame | None) -> list[str]:
    """Return the table of a recipe's settings that read the test set, the latest ones last."""
    if table is None:
        return ["No seed has read the test set yet."]
    header = (
        "date",
        "test accuracy",
        "validation",
        "seeds",
        "parameters",
        "epochs",
        "seconds",
        "device",
        "accuracy aimed at",
    )
    body = []
    for _, own in sorted(table.groupby("settings"), key=lambda group: group[1]["date"].max()):
        mean, half = mean_interval(100 * own["test_acc"].to_numpy())
        complete = len(own) >= recipe.seeds
        aim = "seeds missing" if not complete else "reached" if mean >= 100 * recipe.aim else "**missed**"
        body.append(
            (
                own["date"].max(),
                f"{plus_minus(mean, half, 3)} %",
                f"{100 * own['val_acc'].mean():.3f} %",
                len(own),
                f"{int(own['num_params'].iloc[0]):,}",
                f"{own['epochs_run'].median():g}",
                duration(own["fit_seconds"].median()),
                escape(own["device"].iloc[-1]),
                aim,
            )
        )
    return [*markdown(header, body), "", f"Tests: {len(table)}."]


def _candidates(rows: pd.DataFrame) -> list[str]:
    """Return the table of a recipe's candidates, the most accurate one first."""
    if not len(rows):
        return ["No candidates are recorded."]
    groups = rows.groupby("settings").agg(
        val_acc=("val_acc", "mean"),
        least=("val_acc", "min"),
        splits=("val_acc", "size"),
        seconds=("fit_seconds", "median"),
        num_params=("num_params", "first"),
        device=("device", "last"),
    )
    header = ("candidate", "validation", "least", "splits", "seconds", "parameters", "device")
    body = [
        (
            f"`{settings}`",
            f"{100 * row.val_acc:.3f} %",
            f"{100 * row.least:.2f} %",
            row.splits,
            f"{row.seconds:.1f}",
            f"{row.num_params:,}",
            escape(row.device),
        )
        for settings, row in groups.sort_values("val_acc", ascending=False).iterrows()
    ]
    return ["Candidates:", "", *markdown(header, body)]
