"""Optuna's plots in the style of ours."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnist_zoo.plots.style import COLOURS

TITLES = {  # of our file names
    "history": "Validation accuracy of each trial, and the best so far",
    "curves": "Validation accuracy of each trial over epochs",
    "slices": "Validation accuracy against each setting",
    "importances": "Share of the variance that each setting explains (fANOVA)",
}
WORDS = {
    "Objective Value": "validation accuracy (fraction)",
    "Intermediate Value": "validation accuracy (fraction)",
    "Trial": "trial",
    "Step": "epoch",
    "Hyperparameter Importance": "share of the variance (0 to 1)",
    "Hyperparameter": "setting",
    "Best Value": "the best so far",
}


def restyle(figure: Figure, name: str) -> None:
    """Give a plot that Optuna drew our background, grid, colours and words.

    Args:
        figure: drawn by ``optuna.visualization.matplotlib``.
        name: a key of `TITLES`.
    """
    figure.set_facecolor("white")
    for axis in figure.axes:
        axis.set_facecolor("white")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        for side in ("left", "bottom"):
            axis.spines[side].set(visible=True, color="black")
        axis.tick_params(colors="black")
        axis.set_title("", loc="left")
        axis.set_title("", loc="center")
        for label, write in ((axis.get_xlabel(), axis.set_xlabel), (axis.get_ylabel(), axis.set_ylabel)):
            write(WORDS.get(label, label), color="black", fontsize=10)
        if axis.get_label() != "<colorbar>":
            axis.grid(color="#dddddd")
            _recolour(axis, name)
    for text in figure.texts:
        text.set_text("")
    figure.suptitle(TITLES[name], fontsize=10, fontweight="bold")


def _recolour(axis: Axes, name: str) -> None:
    """Use the colour-blind safe palette; the colours of slices are the number of the trial and stay."""
    for index, line in enumerate(axis.lines):
        line.set_color(COLOURS[1] if name == "history" else COLOURS[index % len(COLOURS)])
    for bar in axis.patches:
        bar.set_color(COLOURS[0])
    if name == "history":
        for points in axis.collections:
            points.set_color(COLOURS[0])
    if name in ("history", "curves"):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if (legend := axis.get_legend()) is not None:
        handles, names = axis.get_legend_handles_labels()
        legend.remove()
        if name == "history":  # the others have one line for each trial, or one kind of bar
            axis.legend(handles, [WORDS.get(text, text) for text in names], frameon=False, fontsize=9)
