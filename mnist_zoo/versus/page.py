"""The page of a comparison: paired differences, the interval as it shrank, curves, and accuracy against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnist_zoo.plots.style import look, plain, style
from mnist_zoo.report.page import Page
from mnist_zoo.report.sections import Block, Section
from mnist_zoo.report.writing import Output
from mnist_zoo.runs import read_curves
from mnist_zoo.versus.comparing import Comparison, Side, folders_of
from mnist_zoo.versus.question import LETTERS
from mnist_zoo.versus.words import answer_lines


def write_page(found: Comparison) -> Path:
    """Write ``report/report.html`` and ``report.md`` with the plots, and return the path of the HTML page."""
    page = Page(Output([found.folder], None))
    with style():
        page.add(Section("Answer", [Block("list", answer_lines(found))]))
        for side in found.candidates:
            page.add(_difference(found, side))
        for section in _curves(found):
            page.add(section)
        page.add(Section("Looks", [_table(found)]))
    question = found.question
    facts = [f"{LETTERS[place]}: {' '.join(question.words(place))}" for place in range(len(question.sides))]
    facts.append(
        "Intervals hold at all looks together with 95 % confidence (spent as 1 / (k (k + 1)) on look k, and divided by "
        "the number of candidates), for other seeds and, where the metric is a mean over images, other images."
    )
    return page.write(f"versus: {found.folder.name}", facts, [])


def _difference(found: Comparison, side: Side) -> Section:
    assert side.estimate is not None
    unit, letter = found.question.measured.unit, LETTERS[side.place]
    pairs = side.estimate.pairs
    figure = Figure(figsize=(6, 3.2))
    axes = figure.add_subplot()
    axes.axhspan(-found.question.allowed, found.question.allowed, color="#eeeeee", label="margin")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.plot(range(len(pairs)), pairs, "o", color=look(0)[0], label="each seed")
    axes.axhline(side.estimate.mean, color=look(1)[0], label="mean")
    axes.set(xlabel="seed, counted from 0", ylabel=f"{letter} - A ({unit})")
    _whole_numbers(axes)
    axes.legend()
    shrinking = Figure(figsize=(6, 3.2))
    axes = shrinking.add_subplot()
    seeds = [each.seeds for each in side.sequence.looks]
    low, high = ([getattr(each, end) for each in side.sequence.looks] for end in ("low", "high"))
    axes.axhspan(-found.question.allowed, found.question.allowed, color="#eeeeee", label="margin")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.fill_between(seeds, low, high, alpha=0.25, color=look(0)[0], label="interval")
    axes.plot(seeds, [each.mean for each in side.sequence.looks], "o-", color=look(0)[0], label="difference")
    axes.set(xlabel="seeds of each side", ylabel=f"{letter} - A ({unit})")
    _whole_numbers(axes)
    axes.legend()
    return Section(
        f"{letter} - A",
        [
            Block("figure", figure, "The difference of each seed.", f"pairs-{letter}"),
            Block("figure", shrinking, "The interval at each look.", f"interval-{letter}"),
        ],
    )


def _whole_numbers(axes: Axes) -> None:
    """Label the horizontal axis at whole numbers only: it counts."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _curves(found: Comparison) -> list[Section]:
    """Return the section with the curves; none if a side is a classical model, which has no epochs."""
    rows = [[read_curves(folder) for folder in side] for side in folders_of(found.runs)]
    if not all(curve for side in rows for curve in side):
        return []
    by_epoch, by_time = Figure(figsize=(6, 3.6)), Figure(figsize=(6, 3.6))
    for figure, unit in ((by_epoch, "epoch"), (by_time, "seconds of training")):
        axes = figure.add_subplot()
        for place, side in enumerate(rows):
            _draw(axes, place, side, plain(found.question.label(place)), in_time=unit != "epoch")
        axes.set(xlabel=unit, ylabel="validation accuracy")
        if unit == "epoch":
            _whole_numbers(axes)
        axes.legend()
    blocks = [
        Block("figure", by_epoch, "Validation accuracy by epoch: each seed, and the mean (thick).", "curves"),
        Block("figure", by_time, "Validation accuracy against training time: each seed.", "seconds"),
    ]
    return [Section("Training", blocks)]


def _draw(axes: Axes, place: int, runs: Sequence[list[dict[str, float]]], label: str, *, in_time: bool) -> None:
    colour, line, _ = look(place)
    for number, rows in enumerate(runs):
        accuracy = [row["val_acc"] for row in rows]
        x = np.cumsum([row["seconds"] for row in rows]) if in_time else np.arange(1, len(rows) + 1)
        first = label if in_time and number == 0 else None
        marker = "." if len(rows) == 1 or in_time else None
        axes.plot(x, accuracy, color=colour, linestyle=line, alpha=0.4, linewidth=0.8, marker=marker, label=first)
    if not in_time and runs:
        shortest = min(map(len, runs))
        mean = np.mean([[row["val_acc"] for row in rows[:shortest]] for rows in runs], axis=0)
        axes.plot(
            np.arange(1, shortest + 1), mean, color=colour, linestyle=line, linewidth=2.2, marker="o", label=label
        )


def _table(found: Comparison) -> Block:
    rows = [
        {
            "candidate": LETTERS[side.place],
            "seeds": each.seeds,
            "difference": each.mean,
            "low": each.low,
            "high": each.high,
        }
        for side in found.candidates
        for each in side.sequence.looks
    ]
    raw = pd.DataFrame(rows)
    shown = raw.assign(**{key: raw[key].map("{:+.3g}".format) for key in ("difference", "low", "high")})
    unit = found.question.measured.unit
    return Block("table", shown, f"Candidate minus A at each look, in {unit}.", "looks", raw)
