"""The sections of the report that compare configurations: sentences, formatted tables and plots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.plots.style import duration
from mnist_zoo.report import figures
from mnist_zoo.report.ensembles import CANDIDATES, ensembles
from mnist_zoo.report.published import Verdict
from mnist_zoo.report.statistics import CONFIDENCE, POWER, plus_minus
from mnist_zoo.report.tables import (
    Significance,
    accuracy_cells,
    compare,
    count_test_accuracies,
    significance,
)
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import read_predictions

OPEN_ROWS = 30  # longer tables are folded on the HTML page
MOST_ROWS = 100  # of a table on the pages; its CSV file has all


@dataclass(frozen=True)
class Block:
    """One element of a section.

    Attributes:
        kind: ``text``, ``list`` (of sentences), ``table`` or ``figure``.
        content: a text, a list of texts, a table of texts, or a plot (a Figure, or a PNG file's content).
        caption: of a table or plot.
        name: of the file: ``<name>.csv`` for a table, part of the name for a plot. A table without name has no file.
        raw: the whole, unformatted table for the CSV file; the page shows at most `MOST_ROWS` rows.
        folded: whether the HTML page shows the table only on demand.
    """

    kind: Literal["text", "list", "table", "figure"]
    content: str | list[str] | pd.DataFrame | Figure | bytes
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
    """Return a list with the block of a plot, or an empty list if there is no plot."""
    return [] if figure is None else [Block("figure", figure, caption, name)]


def _p(value: float) -> str:
    """Return a p-value as a table shows it."""
    if math.isnan(value):
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


# -- all data sets ---------------------------------------------------------------------------------------------------


def comparison(table: pd.DataFrame, verdicts: list[Verdict]) -> Section:
    """Return the section that compares all configurations: accuracies, published numbers, losses, noise and costs.

    Args:
        table: of `Runs`.
        verdicts: of `against_papers`.
    """
    rows = compare(table)
    rows["ece"] = rows["label"].map(table.groupby("label")["ece"].mean())
    tested = {v.label: v for v in reversed(verdicts) if v.row.metric == "test_acc"}
    constant = [name for name in ("data", "lr", "device") if table[name].nunique() == 1]  # the page's head states them
    configurations: list[Any] = list(rows.itertuples())
    accuracy = _noted(pd.DataFrame([_accuracy_row(row, tested.get(row.label)) for row in configurations]), table)
    cost = pd.DataFrame([_cost_row(row) for row in configurations])
    note = (
        "Accuracies in per cent, best on validation first. The verdict says whether the published number, within its "
        "rounding, lies in our 95 % interval of the mean over seeds."
    )
    costs_note = (
        "Losses in nats. Seed SD: standard deviation of the test accuracy over seeds. Sampling SE: standard error of "
        "the test accuracy for random test images. Both are in percentage points. ECE: expected calibration error on "
        "the test images."
    )
    by_rate, times = figures.learning_rates(rows), figures.times(rows) if len(rows) > 1 else None
    longest = f" Shown are the {figures.BARS} longest of {len(rows)}." if len(rows) > figures.BARS else ""
    blocks = [
        Block("table", accuracy.drop(columns=constant, errors="ignore"), note, "comparison", rows),
        Block("table", cost.drop(columns=constant, errors="ignore"), costs_note, "costs", cost),
        *figure_block("rates", by_rate, "Test accuracy against learning rate. Bars: 95 % intervals over seeds."),
        *figure_block("times", times, f"Training time. Bars: 95 % intervals over seeds.{longest}"),
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
        "lr": f"{row.lr:g}",
        "seeds": row.n,
        "parameters": f"{row.num_params:,}",
        "MFLOP": f"{row.flops / 1e6:,.2f}",
        "epochs": plus_minus(row.epochs, row.epochs_half if row.epochs_half else math.nan, 0 if row.n == 1 else 1),
        **dict(zip(("train", "validation", "test"), accuracy_cells(row), strict=True)),
        "published": f"{verdict.row.value:g}" if verdict else "-",
        "difference": f"{verdict.difference:+.2f}" if verdict else "-",
        "verdict": verdict.words if verdict else "no published number",
    }


def _cost_row(row: Any) -> dict:
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
    caption = "All published numbers of these configurations, in the papers' units."
    raw = frame.rename(columns={"metric": "figure"})  # the name of this CSV column since 0.1.0
    table_block = Block("table", frame, caption, "published", raw, folded=len(frame) > OPEN_ROWS)
    return [Section("Published results", [Block("text", text), table_block])]


# -- runs on the same images -----------------------------------------------------------------------------------------


def shared_sections(runs: TestSet) -> list[Section]:
    """Return the sections on configurations that share their images: significance, curves, costs, ensembles."""
    rows = compare(runs.table)
    order, first = runs.order, runs.representatives
    found = significance(runs.table, runs.predicted, runs.labels)
    sections = [] if found is None else [_significance_section(found)]
    sections.append(_curves_section(runs))
    if len(order) > 1:
        note = _only_best(order)
        caption = f"Test accuracy against cost. Bars: 95 % intervals over seeds.{note}"
        heat = figures.correlations(runs.predicted[first], runs.labels, order)
        alike = (
            "Pearson's correlation between networks (the lowest seed of each configuration). Left: of the predicted "
            f"classes, as in the papers. Right: of the errors, which shows differences better.{note}"
        )
        sections.append(Section("Accuracy against cost", figure_block("costs", figures.costs(rows), caption)))
        sections.append(Section("Correlation between networks", figure_block("correlations", heat, alike)))
    return sections + _ensemble_section(runs)


def _curves_section(runs: TestSet) -> Section:
    order, note = runs.order, _only_best(runs.order)
    mean = "mean over the seeds that are still training (early stopping may end some of them)"
    shade = (
        f"Lines: {mean}. Shade: range over seeds. Training curves are running means over each epoch, with augmentation "
        f"and dropout where a configuration uses them.{note}"
    )
    together = figures.validation_curves(runs.table, order) if len(order) > 1 else None
    loss, accuracy = (figures.curves(runs.table, metric, order) for metric in ("loss", "acc"))
    blocks = [
        *figure_block("validation", together, f"Validation accuracy of all configurations: {mean}.{note}"),
        *figure_block("loss", loss, f"Training and validation loss. {shade}"),
        *figure_block("accuracy", accuracy, f"Training and validation accuracy. {shade}"),
    ]
    return Section("Curves", blocks)


def _only_best(order: list[str]) -> str:
    """Return the end of a caption if the plot cannot show all configurations."""
    return f" Shown are the {figures.PANELS} best on validation of {len(order)}." if len(order) > figures.PANELS else ""


def _significance_section(found: Significance) -> Section:
    pairs = found.pairs.head(MOST_ROWS)
    shown = pd.DataFrame(
        {
            "first": pairs["first"],
            "second": pairs["second"],
            "difference": [f"{100 * d:+.2f}" for d in pairs["difference"]],
            "only first correct": pairs["only_first"],
            "only second correct": pairs["only_second"],
            "p, images": [_p(p) for p in pairs["p_images"]],
            "p, seeds": [_p(p) for p in pairs["p_seeds"]],
            "smallest": ["none" if math.isinf(s) else f"{100 * s:.2f}" for s in pairs["smallest"]],
            "conclusion": pairs["conclusion"],
        }
    )
    caption = "All pairs. Difference in mean test accuracy, and smallest significant difference, in percentage points."
    heat = figures.differences(found.pairs, found.labels) if len(pairs) > 1 else None
    legend = f"Difference in mean test accuracy. A dot: not resolved.{_only_best(found.labels)}"
    table = Block("table", shown, caption, "significance", found.pairs, folded=len(pairs) > OPEN_ROWS)
    sentences = Block("list", _significance_sentences(found))
    return Section("Significance", [sentences, *figure_block("differences", heat, legend), table])


def _significance_sentences(found: Significance) -> list[str]:
    pairs = found.pairs
    resolved = int(pairs["conclusion"].str.contains("is better").sum())
    smallest = float(pairs["smallest"].replace(math.inf, math.nan).median())
    sentences = [
        f"Do the configurations differ at all? Cochran's Q = {found.cochran.q:.1f} for {found.cochran.models} networks "
        f"on the same {found.images:,} test images, p {_equals(found.cochran.p)}.",
        f"Pairs that are resolved at the {round(100 * CONFIDENCE)} % level: {resolved} of {len(pairs)}.",
        "Two sources of noise are tested separately: the choice of test images (McNemar's exact test between the "
        "networks with the lowest seed) and the choice of seeds (Welch's t test between the accuracies over seeds). "
        "Both are corrected for the number of pairs (Holm). A difference is resolved if both tests are significant; "
        "with one seed, only the first test is possible.",
    ]
    if not math.isnan(smallest):
        sentences.append(
            f"The smallest difference that could be significant is {100 * smallest:.2f} percentage points (median over "
            f"pairs, from the number of images that exactly one of the two networks classifies correctly)."
        )
    if math.isfinite(found.detectable):
        sentences.append(
            f"A true difference of {100 * found.detectable:.2f} percentage points is detected with a probability of "
            f"{round(100 * POWER)} %."
        )
    return sentences


def _equals(p: float) -> str:
    """Return a p-value as a sentence shows it, after "p"."""
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
        f"Best on validation: {chosen.name}, by {chosen.vote}. Its test accuracy is {100 * chosen.test_acc:.2f} %. The "
        f"best single network on validation ({single['label']} seed={single['seed']}) has "
        f"{100 * single['test_acc']:.2f} %. Members: {', '.join(chosen.members)}."
    )
    caption = "Accuracies in per cent. Members are chosen on validation; each ensemble is tested once."
    if len(runs.table) > CANDIDATES:
        caption += f" Only the {CANDIDATES} best networks on validation are considered."
    frame = pd.DataFrame(rows)
    return [Section("Ensembles", [Block("text", text), Block("table", frame, caption, "ensembles", frame)])]
