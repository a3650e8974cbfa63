"""The reliability diagram: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from mnist_zoo.confidence import Calibration
from mnist_zoo.plots.style import drawn_as, plain


def reliability(calibrations: Mapping[str, Calibration]) -> Figure:
    """Draw accuracy against confidence, one line per network, and below it the images per bin of the first network."""
    figure = Figure(figsize=(6.4, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1, label="perfect")
    looks = drawn_as(calibrations)
    for name, measured in calibrations.items():
        label = f"{plain(name)}: ECE {100 * measured.ece:.2f} %"
        colour, line, marker = looks[name]
        style = {"color": colour, "linestyle": line, "marker": marker}
        upper.plot(measured.confidence, measured.accuracy, markersize=4, label=label, **style)
    first, measured = next(iter(calibrations.items()))
    lower.bar(measured.confidence, measured.counts, width=0.04, color=looks[first].colour, label=plain(first))
    lower.set_yscale("log")
    lower.set_ylabel("images")
    lower.set_xlabel("confidence: probability of the predicted class")
    upper.set_ylabel("accuracy")
    upper.set_xlim(0, 1.02)
    upper.set_ylim(0, 1.04)
    upper.legend(loc="lower right", fontsize=9)
    return figure
