"""The section on the losses of the first epoch's steps, which runs with `FirstEpochLosses` record."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mnist_zoo.plots.style import drawn_as, plain
from mnist_zoo.report.figures import PANELS, legend_beside
from mnist_zoo.report.sections import Section, figure_block
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import Damaged
from mnist_zoo.runs.first_epoch import read_first_epoch

SMOOTHED = 20  # steps


def first_epoch_sections(runs: TestSet, damaged: Damaged) -> list[Section]:
    """Return the section on runs that share their images; none if no run has recorded these losses.

    Args:
        runs: runs on the same images.
        damaged: collects runs whose file is damaged; they are left out.
    """
    found: dict[str, np.ndarray] = {}
    for label in runs.order[:PANELS]:
        losses = []
        for folder in runs.table.loc[runs.table["label"] == label, "folder"]:
            with damaged.skipped(folder):
                losses += [recorded] if (recorded := read_first_epoch(folder)) else []
        if losses:
            steps = min(map(len, losses))
            found[label] = np.mean([each[:steps] for each in losses], axis=0)
    if not found:
        return []
    caption = (
        f"Training loss of each step of the first epoch: mean over seeds, and over the last {SMOOTHED} steps, of the "
        f"loss that is minimised."
    )
    return [Section("First epoch", figure_block("first-epoch", draw(found), caption))]


def draw(losses: dict[str, np.ndarray]) -> Figure:
    """Draw the losses of steps, one line for each configuration.

    Args:
        losses: of the steps, ``(steps,)``, by configuration.
    """
    figure = Figure(figsize=(9.5, max(4.2, 0.22 * len(losses) + 0.6)))
    axis = figure.subplots()
    looks = drawn_as(losses)
    for label, values in losses.items():
        colour, line, _ = looks[label]
        sums = np.cumsum(np.insert(values, 0, 0.0))
        last = np.arange(1, len(values) + 1)
        first = np.maximum(last - SMOOTHED, 0)
        style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.4}
        axis.plot(last, (sums[last] - sums[first]) / (last - first), label=plain(label), **style)
    axis.set_xlabel("step")
    axis.set_ylabel("training loss (nats)")
    axis.set_yscale("log")
    legend_beside(figure, losses)
    return figure
