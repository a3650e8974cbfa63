"""The sections of the report on configurations that share their images: sentences, formatted tables and plots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.report import figures
from mnist_zoo.report.difference import PAIRED_FROM
from mnist_zoo.report.ensembles import CANDIDATES, ensembles
from mnist_zoo.report.pairs import Significance
from mnist_zoo.report.reading import FIXED
from mnist_zoo.report.statistics import POWER
from mnist_zoo.report.tables import stacked_note
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import read_predictions

OPEN_ROWS = 30  # longer tables are folded on the HTML page
MOST_ROWS = 100  # of a table on the pages; its CSV file has all
MOST_EMBEDDED = 3000  # rows of a table that the scripts of the HTML page sort and filter


@dataclass(frozen=True)
class Sprite:
    """The images that some run of a test set gets wrong, side by side in one picture.

    Attributes:
        picture: PNG file; grey images are dark on white.
        across: images in a row.
        count: how many there are.
        height, width: of one image, in pixels.
        class_names: of the data set.
    """

    picture: bytes
    across: int
    count: int
    height: int
    width: int
    class_names: list[str]


@dataclass(frozen=True)
class Thumbnails:
    """Some images of a sprite with captions.

    Attributes:
        places: of each in the sprite.
        images: the same images for ``report.md``, uint8 ``(K, C, H, W)``.
        captions: K texts.
    """

    places: list[int]
    images: np.ndarray
    captions: list[str]


@dataclass(frozen=True)
class Block:
    """One element of a section.

    Attributes:
        kind: ``text``, ``list`` (of sentences), ``table``, ``figure``, ``sprite`` or ``thumbnails``.
        content: a text, a list of texts, a table of texts, a plot (a Figure, or a PNG file's content), or images.
        caption: of a table or plot.
        name: of the file: ``<name>.csv`` for a table, part of the name for a plot.
        raw: the whole, unformatted table for the CSV file; the pages show at most `MOST_ROWS` rows. Without it, another
            part writes the file, or there is none.
        folded: whether the HTML page shows the table only on demand; a text is what it then shows instead.
    """

    kind: Literal["text", "list", "table", "figure", "sprite", "thumbnails"]
    content: str | list[str] | pd.DataFrame | Figure | bytes | Sprite | Thumbnails
    caption: str = ""
    name: str = ""
    raw: pd.DataFrame | None = None
    folded: bool | str = False


@dataclass(frozen=True)
class Section:
    """A title and its blocks."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """A number at the top of the page: its title, the number as text, and a remark."""

    title: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer of the runs on the same images.

    Attributes:
        name: of the data set, or empty if there is only one.
        sentences: what is best, what is not resolved, what it costs, and which runs had not converged or overfit.
        cards: of the best configuration.
        plot: the accuracy of every configuration with its interval.
    """

    name: str
    sentences: list[str]
    cards: list[Card]
    plot: list[Block]


def figure_block(name: str, figure: Figure | None, caption: str) -> list[Block]:
    """Return a list with the block of a plot, or an empty list if there is no plot."""
    return [] if figure is None else [Block("figure", figure, caption, name)]


def _p(value: float) -> str:
    """Return a p-value as a table shows it."""
    if math.isnan(value):
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def shared_sections(runs: TestSet) -> list[Section]:
    """Return the sections on configurations that share their images: significance, curves, costs, ensembles."""
    rows, order, first, found = runs.rows, runs.order, runs.representatives, runs.significance
    sections = [] if found is None else [_significance_section(found)]
    sections += _curves_section(runs)
    if len(order) > 1:
        note = _only_best(order)
        absent = " Classical models have neither parameters nor FLOPs." if rows["num_params"].isna().any() else ""
        front = "Dashed: the Pareto front, the configurations that no other one beats in cost and mean accuracy."
        caption = (
            f"Test accuracy against cost. Bars: 95 % intervals over seeds. {front}{absent}{stacked_note(rows)}{note}"
        )
        heat = figures.correlations(runs.predicted[first], runs.labels, order)
        alike = (
            "Pearson's correlation between networks (the lowest seed of each configuration): of the predicted classes, "
            f"as in the papers, and of the errors, which shows differences better.{_only_best(order, 'Shown are')}"
        )
        sections.append(Section("Accuracy against cost", figure_block("costs", figures.costs(rows), caption)))
        sections.append(Section("Correlation between networks", figure_block("correlations", heat, alike)))
    return sections + _ensemble_section(runs)


def _curves_section(runs: TestSet) -> list[Section]:
    """Return the section on the configurations with curves; none if there are classical models only."""
    order = [label for label in runs.order if runs.table.loc[runs.table["label"] == label, "curves"].map(len).any()]
    if not order:
        return []
    note = _only_best(order)
    mean = "mean over the seeds that are still training (early stopping may end some of them)"
    shade = (
        f"Lines: {mean}. Shade: range over seeds. Training curves are running means over each epoch, with augmentation "
        f"and dropout where a configuration uses them.{note}"
    )
    together = figures.validation_curves(runs.table, order) if len(order) > 1 else None
    loss, accuracy = (figures.curves(runs.table, metric, order) for metric in ("loss", "acc"))
    blocks = [
        *figure_block("validation", together, f"Validation accuracy of all configurations with epochs: {mean}.{note}"),
        *figure_block("loss", loss, f"Training and validation loss. {shade}"),
        *figure_block("accuracy", accuracy, f"Training and validation accuracy. {shade}"),
    ]
    return [Section("Curves", blocks)]


def _only_best(order: list[str], begin: str = "Without scripts:") -> str:
    """Return the end of a caption if the plot cannot show all configurations; the scripts show all in most plots."""
    return f" {begin} the {figures.PANELS} best on validation of {len(order)}." if len(order) > figures.PANELS else ""


def _significance_section(found: Significance) -> Section:
    pairs = found.pairs.head(MOST_EMBEDDED)
    shown = pd.DataFrame(
        {
            "first": pairs["first"],
            "second": pairs["second"],
            "seeds": pairs["seeds"],
            "difference": [_points(d, h) for d, h in zip(pairs["difference"], pairs["half"], strict=True)],
            "p": [_p(p) for p in pairs["p"]],
            "p, equivalent": [_p(p) for p in pairs["p_equivalent"]],
            "detectable": [_detectable(d) for d in pairs["detectable"]],
            "conclusion": pairs["conclusion"],
            "only first correct": pairs["only_first"],
            "only second correct": pairs["only_second"],
            "p, two networks": [_p(p) for p in pairs["p_networks"]],
        }
    )
    margin = f"{100 * found.margin:g}"
    caption = (
        f"All pairs. Difference: of mean test accuracies in percentage points, with the 95 % interval over seeds and "
        f"images. p, equivalent: that they differ by {margin} points or more. Detectable: the true difference that "
        f"these seeds find four times in five. The last three columns compare the two networks with the lowest seed "
        f"(McNemar's exact test), which says nothing about other seeds. All p-values are corrected for the number of "
        f"pairs (Holm)."
    )
    heat = figures.differences(found.pairs, found.labels) if len(pairs) > 1 else None
    legend = f"Difference in mean test accuracy. A dot: neither is better.{_only_best(found.labels, 'Shown are')}"
    table = Block("table", shown, caption, "significance", found.pairs, folded=len(pairs) > OPEN_ROWS)
    sentences = Block("list", significance_sentences(found))
    return Section("Significance", [sentences, *figure_block("differences", heat, legend), table])


def _detectable(difference: float) -> str:
    """Return a true difference that is found, given as a fraction, in percentage points; none is above 100."""
    return "-" if math.isnan(difference) else "none" if difference > 1 else f"{100 * difference:.2f}"


def _points(difference: float, half: float) -> str:
    """Return a difference of accuracies, given as fractions, in percentage points with its interval."""
    return f"{100 * difference:+.2f}" + ("" if math.isnan(half) else f" ± {100 * half:.2f}")


def significance_sentences(found: Significance) -> list[str]:
    pairs, margin = found.pairs, f"{100 * found.margin:g}"
    better, equivalent = (int(pairs["conclusion"].str.contains(word).sum()) for word in ("is better", "^equivalent"))
    sentences = [
        f"Of {len(pairs):,} pairs of configurations, one is better in {better:,}, {equivalent:,} are equivalent within "
        f"{margin} percentage points, and {len(pairs) - better - equivalent:,} are undecided (95 % level, corrected "
        f"for the number of pairs).",
        "A difference must hold for other seeds and for other test images: the interval crosses both sources of noise. "
        f"From {PAIRED_FROM} shared seeds on, equal seeds are paired. Equivalence: two one-sided tests.",
    ]
    known = pairs["detectable"].dropna()
    if len(known):
        typical = known.median()
        size = "no true difference" if typical > 1 else f"a true difference of {100 * typical:.2f} percentage points"
        sentences.append(
            f"With these seeds and {found.images:,} test images, {size} is found with a probability of "
            f"{round(100 * POWER)} % (median over pairs). Seeds of each configuration that would find a true "
            f"difference of "
            + ", ".join(f"{100 * wanted:g} points: {seeds or 'too few images'}" for wanted, seeds in found.plan)
            + "."
        )
    sentences.append(
        f"Do the single networks with the lowest seeds differ at all? Cochran's Q = {found.cochran.q:.1f} for "
        f"{found.cochran.models} networks, p {_equals(found.cochran.p)}."
    )
    return sentences


def _equals(p: float) -> str:
    """Return a p-value as a sentence shows it, after "p"."""
    return _p(p) if p < 1e-4 else f"= {_p(p)}"


def _ensemble_section(runs: TestSet) -> list[Section]:
    shared = runs.table[runs.table["split"] == FIXED]  # members are chosen on the same validation images
    # The order of `ensembles`, so that the best single network is the one that they begin with.
    best = shared.sort_values(["val_acc", "val_loss"], ascending=[False, True], kind="stable").index[:CANDIDATES]
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
            "best member": f"{100 * each.best_member_acc:.2f}",
            "p": _p(each.p),
        }
        for each in found
    ]
    chosen = found[0]
    text = (
        f"Best on validation: {chosen.name}, by {chosen.vote}. Its test accuracy is {100 * chosen.test_acc:.2f} %, "
        f"that of its best member on validation {100 * chosen.best_member_acc:.2f} % (McNemar's exact test, corrected "
        f"for {len(found)} ensembles: p {_equals(chosen.p)}). The best single network on validation ({single['label']} "
        f"seed={single['seed']}) has {100 * single['test_acc']:.2f} %. Members: {', '.join(chosen.members)}."
    )
    caption = (
        "Accuracies in per cent. Members are chosen on validation; each ensemble is tested once. p: McNemar's exact "
        "test between the ensemble and its best member on validation, with Holm's correction."
    )
    if len(shared) > CANDIDATES:
        caption += f" Only the {CANDIDATES} best networks on validation are considered."
    frame = pd.DataFrame(rows)
    return [Section("Ensembles", [Block("text", text), Block("table", frame, caption, "ensembles", frame)])]
