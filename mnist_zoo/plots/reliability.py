"""The reliability diagram: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from mnist_zoo.confidence import Calibration
from mnist_zoo.plots.style import COLOURS, plain


def reliability(calibrations: Mapping[str, Calibration]) -> Figure:
    """Draw accuracy against confidence, one line per network, and below it the images per bin of the first network."""
    figure = Figure(figsize=(6.4, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1, label="perfect")
    for index, (name, measured) in enumerate(calibrations.items()):
        label = f"{plain(name)}: ECE {100 * measured.ece:.2f} %"
        colour = COLOURS[index % len(COLOURS)]
        upper.plot(measured.confidence, measured.accuracy, marker="o", markersize=4, color=colour, label=label)
    first = next(iter(calibrations.values()))
    lower.bar(first.confidence, first.counts, width=0.04, color=COLOURS[0])
    lower.set_yscale("log")
    lower.set_ylabel("images")
    lower.set_xlabel("confidence: probability of the predicted class")
    upper.set_ylabel("accuracy")
    upper.set_xlim(0, 1.02)
    upper.set_ylim(0, 1.04)
    upper.legend(loc="lower right", fontsize=9)
    return figure
