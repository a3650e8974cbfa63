"""What the report says, section by section: sentences, formatted tables and figures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.plots.style import duration
from mnist_zoo.report import figures
from mnist_zoo.report.ensembles import CANDIDATES, ensembles
from mnist_zoo.report.published import Verdict
from mnist_zoo.report.statistics import CONFIDENCE, plus_minus
from mnist_zoo.report.tables import (
    Significance,
    accuracy_cells,
    against_papers,
    compare,
    count_test_accuracies,
    significance,
)
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import read_predictions

OPEN_ROWS = 30  # longer tables are folded


@dataclass(frozen=True)
class Block:
    """A piece of a section: ``text``, ``list``, ``table`` (raw numbers: ``<name>.csv``), ``figure`` (or its PNG)."""

    kind: str
    content: str | list[str] | pd.DataFrame | Figure | Path
    caption: str = ""
    name: str = ""
    raw: pd.DataFrame | None = None
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A title and its blocks."""

    title: str
    blocks: list[Block] = field(default_factory=list)


def figure_block(name: str, figure: Figure | None, caption: str) -> list[Block]:
    """Return the block of a figure, in a list; an empty one if there is no figure."""
    return [] if figure is None else [Block("figure", figure, caption, name)]


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


# -- all data sets together ----------------------------------------------------------------------------------------


def comparison(table: pd.DataFrame) -> list[Section]:
    """Return the comparison: accuracies beside the papers', then losses, noise and costs."""
    rows = compare(table)
    rows["ece"] = [table.loc[table["label"] == label, "ece"].mean() for label in rows["label"]]
    tested = {v.label: v for v in reversed(against_papers(table)) if v.row.metric == "test_acc"}
    alike = [
        column for column in ("data", "lr", "device") if table[column].nunique() == 1
    ]  # said above the first table
    accuracy = [_accuracy_row(row, tested.get(row.label)) for row in rows.itertuples()]
    cost = [_cost_row(row) for row in rows.itertuples()]
    note = (
        "Accuracies in per cent. Best on validation first. The verdict compares the papers' figure, up to its "
        "rounding, with our 95 % interval of the mean over seeds."
    )
    costs_note = (
        "Losses in nats. Seed SD: how far test accuracy varies from seed to seed; sampling SE: how far it would vary "
        "with another draw of as many test images (both in points). ECE: expected calibration error on test images."
    )
    blocks = [
        Block(
            "table",
            _noted(pd.DataFrame(accuracy), table).drop(columns=alike, errors="ignore"),
            note,
            "comparison",
            rows,
        ),
        Block("table", pd.DataFrame(cost).drop(columns=alike, errors="ignore"), costs_note),
        *figure_block("rates", figures.rates(rows), "Test accuracy against learning rate; bars: 95 % over seeds."),
        *figure_block("times", figures.times(rows) if len(rows) > 1 else None, "Training time; bars: 95 % over seeds."),
    ]
    return [Section("Comparison", blocks)]


def _noted(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a ``note`` where the test set was looked at more than once, if it was for any."""
    times = table.get("test_evaluations", pd.Series(1, table.index)).fillna(1).groupby(table["label"]).max()
    if times.max() == 1:
        return rows
    words = {label: f"a finished run trained on: tested {n:.0f} times" for label, n in times.items() if n > 1}
    return rows.assign(note=[words.get(label, "") for label in rows["configuration"]])


def _accuracy_row(row, verdict: Verdict | None) -> dict:
    return {
        "configuration": row.label,
        "data": row.data,
        "lr": f"{row.lr:g}",
        "seeds": row.n,
        "parameters": f"{row.num_params:,}",
        "MFLOP": f"{row.flops / 1e6:,.2f}",
        "epochs": plus_minus(row.epochs, row.epochs_half if row.epochs_half else math.nan, 0 if row.n == 1 else 1),
        **dict(zip(("train", "validation", "test"), accuracy_cells(row), strict=True)),
        "published": f"{verdict.row.value:g}" if verdict else "-",
        "difference": f"{verdict.difference:+.2f}" if verdict else "-",
        "verdict": verdict.words if verdict else "no published figure",
    }


def _cost_row(row) -> dict:
    return {
        "configuration": row.label,
        "data": row.data,
        "train loss": plus_minus(row.train_loss, row.train_loss_half, 4),
        "validation loss": plus_minus(row.val_loss, row.val_loss_half, 4),
        "test loss": plus_minus(row.test_loss, row.test_loss_half, 4),
        "seed SD": "-" if math.isnan(row.seed_sd) else f"{100 * row.seed_sd:.3f}",
        "sampling SE": f"{100 * row.sampling_se:.3f}",
        "ECE (%)": f"{100 * row.ece:.2f}",
        "time": duration(row.fit_seconds),
        "images/s": f"{row.images_per_second:,.0f}",
        "device": row.device,
    }


def beside_papers(table: pd.DataFrame) -> list[Section]:
    """Return every published number of these configurations beside ours, and how many we cover or beat."""
    verdicts = against_papers(table)
    if not verdicts:
        return []
    rows = [
        {
            "paper": v.row.experiment,
            "row": v.row.name,
            "data": v.row.data,
            "figure": v.row.metric,
            "published": f"{v.row.value:g} {v.row.unit}",
            "ours": v.ours,
            "difference": f"{v.difference:+.{4 if v.row.unit == 'nats' else 2}f}",
            "verdict": v.words,
            "note": v.row.note,
        }
        for v in verdicts
    ]
    tested, counts = count_test_accuracies(verdicts)
    said = (
        f"Of {tested} published test accuracies that these runs repeat {counts}."
        if tested
        else "None of these runs repeats a published test accuracy: the verdicts say why."
    )
    frame = pd.DataFrame(rows)
    table_block = Block("table", frame, "In the papers' units.", "published", frame, folded=len(frame) > OPEN_ROWS)
    return [Section("Beside the papers", [Block("text", said), table_block])]


# -- runs that share their images ----------------------------------------------------------------------------------


def shared_sections(runs: TestSet) -> list[Section]:
    """Return what configurations on the same images say together: significance, curves, costs, ensembles."""
    rows = compare(runs.table)
    order, first = runs.order, runs.representatives
    found = significance(runs.table, runs.predicted, runs.labels)
    sections = [] if found is None else [_significance_section(found)]
    note = _only_best(order)
    accuracy = figures.curves(runs.table, "acc", order)
    loss = figures.curves(runs.table, "loss", order)
    still = "mean over seeds (those that early stopping has not ended)"
    shade = f"Lines: {still}; shade: lowest to highest. The running training figures are with augmentation and dropout "
    shade += f"at work, if there are any.{note}"
    together = figures.validation_curves(runs.table, order) if len(order) > 1 else None
    everyone = f"Validation accuracy of all configurations, {still}.{note}"
    curves = [
        *figure_block("validation", together, everyone),
        *figure_block("loss", loss, f"Loss, train against validation. {shade}"),
        *figure_block("accuracy", accuracy, f"Accuracy, train against validation. {shade}"),
    ]
    sections.append(Section("Curves", curves))
    if len(order) > 1:
        caption = f"Test accuracy against what it costs; bars: 95 % over seeds.{note}"
        heat = figures.correlations(runs.predicted[first], runs.labels, order)
        alike = "Pearson's correlation between networks (the lowest seed of each configuration), of the predicted "
        alike += f"classes, as the papers draw it, and of where they err, which tells more.{note}"
        sections.append(Section("Accuracy against cost", figure_block("costs", figures.costs(rows), caption)))
        sections.append(Section("How alike the networks predict", figure_block("correlations", heat, alike)))
    return sections + _ensemble_section(runs)


def _only_best(order: list[str]) -> str:
    return f" The {figures.PANELS} best on validation of {len(order)}." if len(order) > figures.PANELS else ""


def _significance_section(found: Significance) -> Section:
    pairs = found.pairs
    resolved = int(pairs["conclusion"].str.contains("is better").sum())
    smallest = float(pairs["smallest"].replace(math.inf, math.nan).median())
    percent = round(100 * CONFIDENCE)
    sentences = [
        f"Do they differ at all? Cochran's Q = {found.cochran.q:.1f} over {found.cochran.models} networks on the same "
        f"{found.images:,} test images, p {_equals(found.cochran.p)}.",
        f"Pairs that are resolved at the {percent} % level: {resolved} of {len(pairs)}.",
        "Two kinds of noise, kept apart and each corrected for the number of pairs (Holm): other test images (exact "
        "McNemar between the networks of the lowest seeds) and other seeds (Welch's t over the seeds' accuracies). A "
        "difference is resolved when both say so; with one seed only the first can be asked.",
    ]
    if not math.isnan(smallest):
        sentences.append(
            f"The smallest difference that could be called significant here is {100 * smallest:.2f} points (median of "
            f"the pairs, from the images on which exactly one of the two is right)."
        )
    if math.isfinite(found.detectable):
        sentences.append(f"A true difference of {100 * found.detectable:.2f} points would be found four times in five.")
    shown = pd.DataFrame(
        {
            "first": pairs["first"],
            "second": pairs["second"],
            "difference": [f"{100 * d:+.2f}" for d in pairs["difference"]],
            "only first right": pairs["only_first"],
            "only second right": pairs["only_second"],
            "p, images": [_p(p) for p in pairs["p_images"]],
            "p, seeds": [_p(p) for p in pairs["p_seeds"]],
            "smallest": ["none" if math.isinf(s) else f"{100 * s:.2f}" for s in pairs["smallest"]],
            "conclusion": pairs["conclusion"],
        }
    )
    caption = "Every pair; differences of mean test accuracy and the smallest resolvable one in points."
    heat = figures.differences(pairs, found.labels) if len(pairs) > 1 else None
    legend = f"Differences of mean test accuracy; a dot: not resolved.{_only_best(found.labels)}"
    table = Block("table", shown, caption, "significance", pairs, folded=len(pairs) > OPEN_ROWS)
    return Section("Significance", [Block("list", sentences), *figure_block("differences", heat, legend), table])


def _equals(p: float) -> str:
    return _p(p) if p < 1e-4 else f"= {_p(p)}"


def _ensemble_section(runs: TestSet) -> list[Section]:
    best = runs.table["val_acc"].sort_values(ascending=False, kind="stable").index[:CANDIDATES]
    table = runs.table.loc[best]
    found = ensembles(table, [read_predictions(folder) for folder in table["folder"]])
    if not found:
        return []
    single = table.iloc[0]
    rows = [
        {
            "ensemble": each.name + (" (chosen)" if each.chosen else ""),
            "members": len(each.members),
            "vote": each.vote,
            "validation": f"{100 * each.val_acc:.2f}",
            "test": f"{100 * each.test_acc:.2f}",
        }
        for each in found
    ]
    chosen = found[0]
    text = (
        f"Chosen on validation: {chosen.name}, by {chosen.vote}: test accuracy {100 * chosen.test_acc:.2f} %, against "
        f"{100 * single['test_acc']:.2f} % of the best single network on validation ({single['label']} "
        f"seed={single['seed']}). Its members: {', '.join(chosen.members)}."
    )
    caption = "Members are chosen by their validation logits; the test images are read once for each ensemble."
    if len(runs.table) > CANDIDATES:
        caption += f" Of the {CANDIDATES} best networks on validation."
    frame = pd.DataFrame(rows)
    return [Section("Ensembles", [Block("text", text), Block("table", frame, caption, "ensembles", frame)])]
