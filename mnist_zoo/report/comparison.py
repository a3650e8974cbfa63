"""The sections of the report that compare all configurations, with each other and with the papers."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mnist_zoo.plots.style import duration
from mnist_zoo.report import figures
from mnist_zoo.report.mislabelled import MISLABELLED
from mnist_zoo.report.reading import GOALS, VARIES
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import accuracy_words, plus_minus
from mnist_zoo.report.tables import accuracy_cells, compare, goal_cells, number_cell, seeds_cell, stacked_note
from mnist_zoo.report.verdicts import Verdict, count_test_accuracies

CLEAN = "clean test"  # the column of the test accuracy without mislabelled images
COSTS_NOTE = (
    "Losses in nats. Seed SD: standard deviation of the test accuracy over seeds. Sampling SE: standard error of "
    "the test accuracy for random test images. Both are in percentage points. Brier: mean squared distance of the "
    "probabilities to the true class, 0 to 2. ECE: expected calibration error on the test images; perfect: that of "
    "a perfectly calibrated network with the same probabilities, which is not 0 on finitely many images. "
    "Brier, ECE, time and images/s: means over seeds."
)


def comparison(table: pd.DataFrame, verdicts: list[Verdict]) -> Section:
    """Return the section that compares all configurations: accuracies, published numbers, losses, noise and costs.

    Args:
        table: of `Runs`.
        verdicts: of `against_papers`.
    """
    rows = compare(table)
    rows = rows.join(table.groupby("label")[["ece", "perfect_ece", "brier"]].mean(), on="label")
    tested = {v.label: v for v in reversed(verdicts) if v.row.metric == "test_acc"}
    # The page's head states what all runs share.
    constant = [name for name in ("data", "lr", "device") if table[name].nunique(dropna=False) == 1]
    configurations: list[Any] = list(rows.itertuples())
    accuracy = _noted(pd.DataFrame([_accuracy_row(row, tested.get(row.label)) for row in configurations]), table)
    if all(verdict.reason for verdict in verdicts):
        constant += ["published", "difference", "verdict"]  # the section on published numbers has the reasons
    cost = pd.DataFrame([_cost_row(row) for row in configurations])
    note = (
        "Accuracies in per cent with 95 % intervals of the mean over seeds, best on validation first. MB: the "
        "parameters in float32, and the fitted size of a classical model. To 98 % and to 99 %: the first epoch with "
        "this validation accuracy, mean over the seeds that reach it."
    )
    if any(not verdict.reason for verdict in verdicts):
        note += (
            " The verdict says whether the published number could be that of one further run of ours (corrected for "
            "the number of verdicts)."
        )
    if rows["clean_test_acc"].notna().any():
        note += (
            f" {CLEAN[0].upper()}{CLEAN[1:]}: without the {len(MISLABELLED)} images of MNIST's test set whose label "
            f"is known to be wrong (Northcutt et al. 2021)."
        )
    else:
        constant.append(CLEAN)
    if (rows["split"] == VARIES).any():
        note += (
            " Split: where it varies, each seed has a training and validation split of its own, and the interval "
            "covers other seeds and other splits; where it is fixed, the interval covers other seeds on this split."
        )
    else:
        constant.append("split")
    stacked = stacked_note(rows)
    if rows["epochs"].isna().all():  # classical models only
        constant += ["parameters", "MFLOP", "epochs", *(f"to {goal} %" for goal in GOALS), "images/s"]
    by_rate, times = figures.learning_rates(rows), figures.times(rows) if len(rows) > 1 else None
    longest = f" Without scripts: the {figures.BARS} longest of {len(rows)}." if len(rows) > figures.BARS else ""
    blocks = [
        Block("table", accuracy.drop(columns=constant, errors="ignore"), note, "comparison", rows),
        Block("table", cost.drop(columns=constant, errors="ignore"), COSTS_NOTE + stacked, "costs", cost),
        *figure_block("rates", by_rate, "Test accuracy against learning rate. Bars: 95 % intervals over seeds."),
        *figure_block("times", times, f"Training time. Bars: 95 % intervals over seeds.{longest}{stacked}"),
    ]
    return Section("Comparison", blocks)


def _noted(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a ``note`` on configurations that were tested more than once, if there are any."""
    times = table.get("test_evaluations", pd.Series(1, table.index)).fillna(1).groupby(table["label"]).max()
    if times.max() == 1:
        return rows
    words = {label: f"training was continued after a test: tested {n:.0f} times" for label, n in times.items() if n > 1}
    return rows.assign(note=[words.get(label, "") for label in rows["configuration"]])


def _accuracy_row(row: Any, verdict: Verdict | None) -> dict:
    return {
        "configuration": row.label,
        "data": row.data,
        "lr": number_cell(row.lr, "g"),
        "split": row.split,
        "seeds": seeds_cell(row.n),
        "parameters": number_cell(row.num_params),
        "MB": number_cell(row.megabytes, ".2f"),
        "MFLOP": number_cell(row.flops / 1e6, ",.2f"),
        "epochs": _epochs_cell(row),
        **{f"to {goal} %": cell for goal, cell in zip(GOALS, goal_cells(row), strict=True)},
        **dict(zip(("train", "validation", "test"), accuracy_cells(row), strict=True)),
        CLEAN: _clean_cell(row),
        "published": f"{verdict.row.value:g}" if verdict else "-",
        "difference": f"{verdict.difference:+.2f}" if verdict else "-",
        "verdict": verdict.words if verdict else "no published number",
    }


def _epochs_cell(row: Any) -> str:
    if math.isnan(row.epochs):
        return "-"
    return plus_minus(row.epochs, row.epochs_half if row.epochs_half else math.nan, 0 if row.n == 1 else 1)


def _clean_cell(row: Any) -> str:
    """Return the test accuracy without MNIST's mislabelled images."""
    if math.isnan(row.clean_test_acc):
        return "-"
    return accuracy_words(*(100 * getattr(row, f"clean_test_acc{end}") for end in ("", "_half", "_least", "_greatest")))


def _cost_row(row: Any) -> dict:
    return {
        "configuration": row.label,
        "data": row.data,
        "seeds": seeds_cell(row.n),
        "train loss": plus_minus(row.train_loss, row.train_loss_half, 4),
        "validation loss": plus_minus(row.val_loss, row.val_loss_half, 4),
        "test loss": plus_minus(row.test_loss, row.test_loss_half, 4),
        "seed SD": "-" if math.isnan(row.seed_sd) else f"{100 * row.seed_sd:.3f}",
        "sampling SE": f"{100 * row.sampling_se:.3f}",
        "Brier": f"{row.brier:.4f}",
        "ECE (%)": f"{100 * row.ece:.2f}",
        "perfect": f"{100 * row.perfect_ece:.2f}",
        "time": duration(row.fit_seconds),
        "images/s": number_cell(row.images_per_second),
        "device": row.device,
    }


def beside_papers(verdicts: list[Verdict]) -> list[Section]:
    """Return the section with every published number of these configurations and our verdicts; empty if none.

    Args:
        verdicts: of `against_papers`.
    """
    if not verdicts:
        return []
    rows = [
        {
            "paper": v.row.experiment,
            "row": v.row.name,
            "data": v.row.data,
            "metric": v.row.metric,
            "published": f"{v.row.value:g} {v.row.unit}",
            "seeds": seeds_cell(v.seeds),
            "ours": v.ours,
            "difference": f"{v.difference:+.{4 if v.row.unit == 'nats' else 2}f}",
            "verdict": v.words,
            "note": v.row.note,
        }
        for v in verdicts
    ]
    tested, counts = count_test_accuracies(verdicts)
    text = (
        f"Published test accuracies that these runs repeat: {tested}; {counts}."
        if tested
        else "None of these runs repeats a published test accuracy; the verdicts say why."
    )
    frame = pd.DataFrame(rows)
    caption = (
        "All published numbers of these configurations, in the papers' units. Ours: mean over seeds, and the 95 % "
        "prediction interval of one further run, which is what a published number is. Training accuracies that a paper "
        "took while training, and its best validation accuracies, are compared with ours of the same kind."
    )
    raw = frame.rename(columns={"metric": "figure"})  # the name of this CSV column since 0.1.0
    folded: bool | str = len(frame) > OPEN_ROWS
    if all(v.reason for v in verdicts):
        folded = f"Published numbers of these configurations: {len(frame)}, none of them comparable"
    table_block = Block("table", frame, caption, "published", raw, folded)
    return [Section("Published results", [Block("text", text), table_block])]
