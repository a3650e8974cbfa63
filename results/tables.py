"""The tables of the results page."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.plots.style import duration
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report import published as papers
from mnist_zoo.report.pairs import significance
from mnist_zoo.report.published import FITTED, Row, rows_of
from mnist_zoo.report.reading import GOALS, VARIES
from mnist_zoo.report.tables import accuracy_cells, compare, goal_cells, number_cell, seeds_cell
from mnist_zoo.report.verdicts import Verdict
from mnist_zoo.runs.interval import wilson_interval
from results.experiments import cause_of
from results.predictions import with_predictions
from results.rows import command, command_for, name_of, names, planned_for, settings_of

METRICS = {
    "test_acc": "test accuracy",
    "val_acc": "validation accuracy",
    "train_acc": "training accuracy",
    "claimed_acc": "claimed accuracy",
    "range_acc": "test accuracy, from",
    "fgsm_acc": "accuracy under FGSM",
    "train_seconds": "training time",
    "test_macro_f1": "macro F1",
}
OUTSIDE = ("above", "below", "unclear")


@dataclass(frozen=True)
class Measured:
    """All tables of results, and the verdicts on the papers' numbers.

    Attributes:
        folder: of the CSV files.
        tables: of each experiment that has runs, of `ZOO`, and of `RELATED` (the same runs).
        verdicts: of `against_papers`.
    """

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    verdicts: Sequence[Verdict]

    @cached_property
    def best(self) -> dict[Row, Verdict]:
        """One verdict for each published row: if possible a comparable one, and one that includes other splits."""
        ranked = sorted(self.verdicts, key=lambda v: (v.outcome != "not comparable", v.split == VARIES))
        return {verdict.row: verdict for verdict in ranked}

    @cached_property
    def names(self) -> dict[str, dict[str, str]]:
        """Short names by experiment and label."""
        return {experiment: names(table) for experiment, table in self.tables.items()}

    @cached_property
    def known(self) -> set[Row]:
        """The published rows whose configuration was run, though perhaps without recording their metric."""
        first = [table.drop_duplicates("label") for table in self.tables.values()]
        return {row for table in first for _, run in table.iterrows() for row in rows_of(run)}

    def name(self, row: Row) -> str:
        """Return the name of a published row: that of our configuration, or of the planned one."""
        verdict, planned = self.best.get(row), planned_for(row)
        if verdict is not None:
            return self.names[row.experiment][verdict.label]
        return row.name if planned is None else name_of(planned.settings)


def verdict_sentence(rows: Sequence[Row], measured: Measured) -> str:
    """Return our verdict on the published test accuracies of a section, and on its other numbers, in words."""
    rows = [row for row in rows if row.experiment not in FITTED]
    compared = [row for row in rows if row in measured.best and not measured.best[row].reason]
    tested = [row for row in compared if row.metric == "test_acc"]
    stated = sum(row.metric == "test_acc" for row in rows)
    if not stated:
        first = "No test accuracy of it can be compared."
    elif not tested:
        first = f"None of its {stated} test accuracies was repeated with its recipe yet."
    else:
        first = f"Test accuracies compared: {len(tested)} of {stated}. {_outcomes(tested, measured)}"
    others = [row for row in compared if row.metric != "test_acc"]
    agree = sum(measured.best[row].outcome == "agrees" for row in others)
    return f"**Verdict.** {first}" + (f" Of its other numbers {agree} of {len(others)} agree." if others else "")


def _outcomes(rows: Sequence[Row], measured: Measured) -> str:
    """Return which of these rows, named with the published number, have which verdict."""
    words = {
        "agrees": "Agree",
        "unclear": "Outside, but not significantly",
        "above": "Ours is above",
        "below": "Ours is below",
    }
    found = []
    for outcome, beginning in words.items():
        of_outcome = [row for row in rows if measured.best[row].outcome == outcome]
        named = [f"{measured.name(row)} ({row.value:g} %)" for row in of_outcome]
        if named:
            found.append(f"{beginning}: {escape(', '.join(named))}.")
    return " ".join(found)


def published(rows: Sequence[Row], measured: Measured) -> list[str]:
    """Return the table of published numbers: ours beside them, the verdict, the reason of a difference, the command."""
    header = ("row", "metric", "published", "ours", "seeds", "verdict", "reason", "in the paper", "command")
    body = []
    for row in rows:
        metric = METRICS.get(row.metric, row.metric.replace("_", " "))
        name = measured.name(row) + ("" if row.data == "mnist" else f" on {row.data}")
        ours, seeds, verdict, reason, how = _cells(row, measured)
        value = f"{row.value:g} {row.unit}"
        body.append((escape(name), metric, value, ours, seeds, verdict, reason, escape(row.note), f"`{how}`"))
    return markdown(header, body)


def _cells(row: Row, measured: Measured) -> tuple[str, str, str, str, str]:
    """Return our number, seeds, verdict, reason and command of a published row."""
    verdict, planned = measured.best.get(row), planned_for(row)
    hours = "" if planned is None else f", about {planned.minutes * planned.seeds / 60:.1f} h on one core"
    if verdict is None:
        words = "our runs have not recorded this number" if row in measured.known else "not run"
        return "-", "-", words, f"to be run{hours}", command_for(row)
    table = measured.tables[row.experiment]
    runs = table[table["label"] == verdict.label]
    how = command(row.experiment, settings_of(runs["overrides"].iloc[0]), sorted(runs["seed"]))
    reason = ""
    if verdict.outcome in OUTSIDE:
        reason = cause_of(row.experiment, measured.name(row), row.metric) or "not known"
    elif verdict.reason and verdict.reason.startswith(("run with", "one seed")):
        reason, how = f"the paper's recipe is to be run{hours}", command_for(row)
    return verdict.ours, seeds_cell(verdict.seeds), escape(verdict.words), reason, how


def configurations(table: pd.DataFrame, experiment: str | None = None) -> list[str]:
    """Return the table of our configurations, one row each; with the command of each row if `experiment` is given."""
    goals = tuple(f"to {goal} %" for goal in GOALS)
    shares = ("train %", "validation %", "test %", "clean test %")
    header = ["configuration", "data", "seeds", "parameters", "MB", "epochs", *goals, *shares, "time", "device"]
    header += [] if experiment is None else ["command"]
    short, body = names(table), []
    row: Any
    for row in compare(table).itertuples():
        runs = table[table["label"] == row.label]
        cells = [escape(short[row.label]), escape(row.data), seeds_cell(row.n), number_cell(row.num_params)]
        cells += [
            number_cell(row.megabytes, ".2f"),
            number_cell(row.epochs, ".3g"),
            *goal_cells(row),
            *accuracy_cells(row),
        ]
        clean = "-" if math.isnan(row.clean_test_acc) else f"{100 * row.clean_test_acc:.2f}"
        cells += [clean, duration(row.fit_seconds), escape(row.device)]
        if experiment is not None:
            cells.append(f"`{command(experiment, settings_of(runs['overrides'].iloc[0]), sorted(runs['seed']))}`")
        body.append(cells)
    return markdown(header, body)


def pairs_sentence(table: pd.DataFrame, results: Path, experiment: str) -> list[str]:
    """Return which of our configurations are better, by the stored predictions; nothing without two of them."""
    rows, predicted, labels = with_predictions(table, results, experiment)
    found = significance(rows, predicted, labels) if len(rows) else None
    if found is None:
        return []
    words = found.pairs["conclusion"]
    better, equivalent = int(words.str.contains("is better").sum()), int(words.str.startswith("equivalent").sum())
    known = found.pairs["detectable"].dropna()
    limit = (
        f" A true difference of {100 * known.median():.2f} points (median over pairs) is found four times in five."
        if len(known)
        else ""
    )
    return [
        f"Pairs of the {rows['label'].nunique()} configurations with stored predictions, for other seeds and other "
        f"test images: one is better in {better} of {len(words)}, equivalent within {100 * found.margin:g} points: "
        f"{equivalent}, undecided: {len(words) - better - equivalent}.{limit}"
    ]


def majority_sentence(table: pd.DataFrame, results: Path, experiment: str) -> list[str]:
    """Return the test accuracy of the majority of all networks of an experiment, by the stored predictions.

    Among classes with equally many votes the smallest one counts.
    """
    rows, predicted, labels = with_predictions(table, results, experiment)
    if not len(rows):
        return []
    votes = (predicted[None] == np.unique(labels)[:, None, None]).sum(axis=1)  # (C, N)
    right = int((np.unique(labels)[votes.argmax(axis=0)] == labels).sum())
    low, high = (100 * bound for bound in wilson_interval(right, len(labels)))
    single = 100 * (predicted == labels).mean()
    return [
        f"The majority of these {len(rows)} networks: {100 * right / len(labels):.2f} % [{low:.2f}, {high:.2f}] "
        f"(Wilson, for other test images); a single one, on average: {single:.2f} %."
    ]


def not_reproduced() -> list[str]:
    """Return the section of published numbers that no experiment of the zoo repeats."""
    with (Path(papers.__file__).parent / "published.csv").open(newline="") as file:
        rows = [fields for fields in csv.DictReader(file) if not fields["zoo_model"]]
    header = ("source", "row", "data", "metric", "published", "note")
    body = [
        (
            *(fields["paper"], escape(fields["model"]), fields["dataset"]),
            METRICS.get(fields["metric"], fields["metric"]),
            f"{fields['value']} {fields['unit']}",
            escape(fields["note"]),
        )
        for fields in rows
    ]
    return ["## Published numbers without an experiment", "", *markdown(header, body)] if rows else []


def votes_table(votes: pd.DataFrame) -> list[str]:
    """Return the table of ensembles."""
    header = ("ensemble", "vote", "members", "validation %", "test %")
    body = [
        (
            *(escape(row["name"]) + (" (chosen)" if row["chosen"] else ""), row["vote"], row["members"].count(";") + 1),
            *(f"{100 * row['val_acc']:.2f}", f"{100 * row['test_acc']:.2f}"),
        )
        for row in votes.to_dict("records")
    ]
    return markdown(header, body)
