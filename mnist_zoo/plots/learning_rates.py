"""The plot of a learning-rate range test."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mnist_zoo.plots.style import TRAIN, VAL, plain, style


def draw_range_test(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float, title: str
) -> Figure:
    """Return a plot of the loss over the learning rate, with the suggestion.

    Args:
        rates, losses, smoothed: of each step, ``(S,)``; losses in nats.
        suggestion: a learning rate.
        title: of the plot.
    """
    with style():
        figure = Figure(figsize=(6, 4))
        axes = figure.add_subplot()
        axes.plot(rates, losses, color=TRAIN, alpha=0.3, linewidth=0.8, label="each step")
        axes.plot(rates, smoothed, color=TRAIN, label="moving average")
        axes.axvline(suggestion, color=VAL, linestyle="--", label=f"suggestion: {suggestion:.2g}")
        lowest = float(smoothed.min())
        axes.set_ylim(max(0.0, lowest - 0.3), min(float(losses.max()), 2 * float(smoothed[0])))
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss (nats)", title=plain(title))
        axes.legend()
        return figure
