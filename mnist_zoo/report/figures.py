"""Plots that compare configurations. Each function returns a matplotlib ``Figure``."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from mnist_zoo.plots.style import drawn_as, duration, plain
from mnist_zoo.runs import CURVE_COLUMNS

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

PANELS = 24  # most panels or lines in one plot; more are not readable
BARS = 48  # most bars in one plot
RATES = 10  # most learning rates that an axis can name
ERRORS_ON_AXIS = "errors"  # mark of an axis whose values are errors and whose labels are accuracies
# Ticks of an accuracy axis as errors in per cent: for a long axis and for a short one.
ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 90)
FINE_ERRORS = (
    0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 2.5,
    3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90,
)  # fmt: skip


def legend_beside(figure: Figure, labels: Iterable[str], lines: bool = True) -> None:
    """Put a legend of the series (see `drawn_as`) to the right of the axes, with markers only if not `lines`."""
    handles = []
    for label, (colour, line, marker) in drawn_as(labels).items():
        style = line if lines else "none"
        handles.append(Line2D([], [], color=colour, linestyle=style, marker=marker, markersize=5, label=plain(label)))
    figure.legend(handles=handles, loc="outside right upper", fontsize=9)


def accuracy_axis(axis: Axes, images: int) -> None:
    """Label a y axis of errors in per cent as accuracy, on a log scale that separates the best models.

    Args:
        axis: its y values are errors in per cent.
        images: that the accuracies were measured on; errors below half an image are not shown.
    """
    axis.set_yscale("log")
    axis.yaxis.set_gid(ERRORS_ON_AXIS)
    low, high = sorted(axis.get_ylim())
    low, high = max(low, 50 / images), min(max(high, low * 1.5), 100)
    ticks = [error for error in (FINE_ERRORS if high < 8 * low else ERRORS) if low <= error <= high]
    if len(ticks) < 2:
        ticks = [low * (high / low) ** share for share in (0.1, 0.5, 0.9)]
    axis.set_ylim(high, low)
    axis.yaxis.set_major_locator(FixedLocator(ticks))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:.4g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _error_bars(rows: pd.DataFrame, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return errors in per cent ``(G,)`` and error bars ``(2, G)``; half an image at least, for the log axis."""
    least = 50 / rows["n_test"].to_numpy()
    error = np.maximum(100 * (1 - rows[f"{split}_acc"].to_numpy()), least)
    half = np.nan_to_num(100 * rows[f"{split}_acc_half"].to_numpy())
    return error, np.stack([np.minimum(half, error - least), half])


def curves(table: pd.DataFrame, metric: str, labels: list[str]) -> Figure:
    """Draw training and validation curves, one panel per configuration: mean over seeds, and range as shade.

    Args:
        table: of `Runs`.
        metric: ``loss`` or ``acc``.
        labels: of the configurations, in order; the first `PANELS` are drawn.
    """
    labels = labels[:PANELS]
    columns = min(len(labels), 3)
    rows = math.ceil(len(labels) / columns)
    figure = Figure(figsize=(max(3.4 * columns, 5), 2.4 * rows + 0.5))
    axes = np.atleast_1d(figure.subplots(rows, columns, sharey=len(labels) > 1, squeeze=False).ravel())
    for axis in axes[len(labels) :]:
        axis.remove()
    looks = drawn_as(labels)
    ways: dict[str, LineStyleType] = {"train (running)": "--", "validation": "-"}
    for axis, label in zip(axes, labels, strict=False):
        frames, colour = _curves(table, label), looks[label].colour
        for split, line in (("train", ways["train (running)"]), ("val", ways["validation"])):
            _band(axis, frames, f"{split}_{metric}", 100 if metric == "acc" else 1, colour, line)
        axis.set_title(textwrap.fill(plain(label), 38, break_long_words=False, break_on_hyphens=False), fontsize=9)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if metric == "loss":
            axis.set_yscale("log")
    for axis in axes[0 : len(labels) : columns]:
        axis.set_ylabel("loss (nats)" if metric == "loss" else "accuracy (%)")
    handles = [Line2D([], [], color="#444444", linestyle=line, label=name) for name, line in ways.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9)
    return figure


def _curves(table: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of ``curves.csv`` of all runs of a configuration."""
    rows = np.concatenate(list(table.loc[table["label"] == label, "curves"]))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _band(axis: Axes, frame: pd.DataFrame, column: str, factor: float, colour: str, line: LineStyleType) -> None:
    """Draw the mean of a column over runs, and its range as shade; `factor` scales both."""
    by_epoch = factor * frame.groupby("epoch")[column].agg(["mean", "min", "max"])
    mean, low, high = (by_epoch[how] for how in ("mean", "min", "max"))
    marker = "o" if len(mean) == 1 else None
    axis.plot(mean.index, mean, color=colour, linestyle=line, marker=marker, linewidth=1.8)
    axis.fill_between(mean.index, low, high, color=colour, alpha=0.18, linewidth=0)


def validation_curves(table: pd.DataFrame, labels: list[str]) -> Figure:
    """Draw the validation accuracy of all configurations over epochs: the mean over seeds.

    Args:
        table: of `Runs`.
        labels: of the configurations, in order; the first `PANELS` are drawn.
    """
    labels = labels[:PANELS]
    figure = Figure(figsize=(9.5, max(4.2, 0.22 * len(labels) + 0.6)))
    axis = figure.subplots()
    images = int(table["n_val"].max())
    for label, (colour, line, marker) in drawn_as(labels).items():
        frame = _curves(table, label)
        if frame.empty:
            continue
        error = 100 * (1 - frame.groupby("epoch")["val_acc"].mean())
        error = error.clip(lower=50 / images)
        axis.plot(error.index, error, color=colour, linestyle=line, marker=marker, markersize=4, linewidth=1.6)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axis.set_ylabel("validation accuracy (%), errors on a log scale")
    accuracy_axis(axis, images)
    legend_beside(figure, labels)
    return figure


def learning_rates(rows: pd.DataFrame) -> Figure | None:
    """Draw test accuracy against learning rate, one line per model; None if no model has two learning rates.

    Args:
        rows: of `compare`.
    """
    words = [[word for word in label.split(" ") if not word.startswith("lr=")] for label in rows["label"]]
    if rows["data"].nunique() > 1:  # a label has the data only if its model has several
        words = [own if data in own else [*own, data] for own, data in zip(words, rows["data"], strict=True)]
    names = [" ".join(own) for own in words]
    rows = rows.assign(series=names)
    several = rows.groupby("series")["lr"].nunique()
    series = [name for name in dict.fromkeys(rows["series"]) if several[name] > 1][:PANELS]
    if not series:
        return None
    figure = Figure(figsize=(9, 4.2))
    axis = figure.subplots()
    for index, (name, (colour, line, marker)) in enumerate(drawn_as(series).items()):
        points = rows[rows["series"] == name].sort_values("lr")
        error, bars = _error_bars(points, "test")
        shift = 1.03 ** (index - (len(series) - 1) / 2)  # so that bars at one learning rate do not overlap
        axis.errorbar(points["lr"] * shift, error, bars, color=colour, linestyle=line, marker=marker, capsize=3)
    axis.set_xscale("log")
    values = sorted(rows.loc[rows["series"].isin(series), "lr"].unique())
    if len(values) <= RATES:
        axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel("learning rate")
    axis.set_ylabel("test accuracy (%), errors on a log scale")
    accuracy_axis(axis, int(rows["n_test"].max()))
    legend_beside(figure, series)
    return figure


def times(rows: pd.DataFrame) -> Figure:
    """Draw the training time of each configuration as a bar, longest first.

    Args:
        rows: of `compare`; the `BARS` longest are drawn.
    """
    rows = rows.sort_values("fit_seconds", ascending=False).head(BARS)
    figure = Figure(figsize=(8.5, 0.32 * len(rows) + 1.1))
    axis = figure.subplots()
    places = np.arange(len(rows))
    colours = [look.colour for look in map(drawn_as(rows["label"]).__getitem__, rows["label"])]
    axis.barh(places, rows["fit_seconds"], color=colours, height=0.65)
    half = np.nan_to_num(rows["fit_seconds_half"].to_numpy())
    bars = np.stack([np.minimum(half, rows["fit_seconds"]), half])
    if half.any():
        axis.errorbar(rows["fit_seconds"], places, xerr=bars, fmt="none", ecolor="#333333", capsize=3)
    right = (rows["fit_seconds"] + half).max() or 1.0
    for place, (seconds, reach) in enumerate(zip(rows["fit_seconds"], rows["fit_seconds"] + half, strict=True)):
        axis.text(reach + 0.01 * right, place, duration(seconds), va="center", fontsize=9)
    axis.set_yticks(places, [plain(label) for label in rows["label"]], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.14 * right)
    axis.set_xlabel("training time (s)")
    axis.grid(axis="y", visible=False)
    return figure


def costs(rows: pd.DataFrame) -> Figure:
    """Draw test accuracy against parameters, FLOPs and training time, with the Pareto front of each.

    Args:
        rows: of `compare`; the first `PANELS` are drawn.
    """
    rows = rows.head(PANELS)
    figure = Figure(figsize=(11.5, max(4.0, 0.22 * len(rows) + 0.6)))
    axes = figure.subplots(1, 3, sharey=True)
    error, bars = _error_bars(rows, "test")
    looks = drawn_as(rows["label"])
    names = (("num_params", "parameters"), ("flops", "FLOPs per image"), ("fit_seconds", "training time (s)"))
    for axis, (column, name) in zip(axes, names, strict=True):
        for index, (label, value) in enumerate(zip(rows["label"], rows[column], strict=True)):
            if math.isnan(value):  # a classical model has neither parameters nor FLOPs
                continue
            colour, _, marker = looks[label]
            bar = bars[:, index : index + 1]
            axis.errorbar(value, error[index], bar, color=colour, marker=marker, capsize=2, elinewidth=1, markersize=7)
        front = pareto_front(rows[column].to_numpy(), -error)
        axis.plot(rows[column].iloc[front], error[front], color="0.5", linestyle="--", linewidth=1, zorder=1)
        _log_axis(axis, rows[column])
        axis.set_xlabel(name)
    axes[0].set_ylabel("test accuracy (%), errors on a log scale")
    accuracy_axis(axes[0], int(rows["n_test"].max()))
    legend_beside(figure, rows["label"], lines=False)
    return figure


def pareto_front(costs: np.ndarray, values: np.ndarray) -> list[int]:
    """Return the places that no other one beats in cost (lower) and value (higher), by cost. NaN is in no front."""
    front: list[int] = []
    for place in np.lexsort((-values, costs)):
        if not math.isnan(costs[place]) and (not front or values[place] > values[front[-1]]):
            front.append(int(place))
    return front


def _log_axis(axis: Axes, values: pd.Series) -> None:
    """Give an x axis a log scale with at least three round ticks: 50 k, 100 k, 200 k."""
    values = values[values > 0]
    if values.empty:
        return
    axis.set_xscale("log")
    low, high = float(values.min()) / 1.5, float(values.max()) * 1.5
    axis.set_xlim(low, high)
    powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 5, 7)):  # coarse to fine
        ticks = [tick for tick in np.outer(powers, digits).ravel() if low <= tick <= high]
        if len(ticks) >= 3:
            break
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axis.xaxis.set_minor_locator(NullLocator())


def correlations(predicted: np.ndarray, truth: np.ndarray, labels: list[str]) -> Figure | None:
    """Draw Pearson's correlation between networks, of their predicted classes and of their errors.

    Args:
        predicted: predicted classes ``(M, N)``; the first `PANELS` networks are drawn.
        truth: true classes ``(N,)``.
        labels: M names.

    Returns:
        The plot, or None for one network.
    """
    predicted, labels = predicted[:PANELS], labels[:PANELS]
    if len(labels) < 2:
        return None
    side = max(3.2, 0.34 * len(labels) + 0.6)
    figure = Figure(figsize=(2 * side + 2.8, side + 1.0))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, values, title in (
        (axes[0], predicted.astype(float), "predicted classes"),
        (axes[1], (predicted != truth).astype(float), "errors"),
    ):
        matrix = _correlation(values)
        low = np.nanmin(matrix)
        image = axis.imshow(matrix, cmap="viridis", vmin=low, vmax=1, label=f"correlation of {title}")
        axis.set_xticks(range(len(labels)), [str(place) for place in range(1, len(labels) + 1)])
        axis.grid(visible=False)
        axis.set_title(f"correlation of {title}")
        digits = 2 if low < 0.95 else 3
        if len(labels) <= 12:
            for (i, j), value in np.ndenumerate(matrix):
                colour = "white" if value < (1 + low) / 2 else "black"
                axis.text(j, i, f"{value:.{digits}f}".lstrip("0"), ha="center", va="center", color=colour, fontsize=8)
        figure.colorbar(image, ax=axis, shrink=0.85)
    axes[0].set_yticks(
        range(len(labels)), [f"{plain(label)}  {place}" for place, label in enumerate(labels, 1)], fontsize=9
    )
    return figure


def _correlation(values: np.ndarray) -> np.ndarray:
    """Return the correlations ``(M, M)`` of rows; those of a constant row are NaN, but 1 with itself."""
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.corrcoef(values)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def differences(pairs: pd.DataFrame, labels: list[str]) -> Figure:
    """Draw the difference in test accuracy of each pair, row minus column; a dot if it is not resolved.

    Args:
        pairs: of `Significance`.
        labels: of the configurations, in order; the first `PANELS` are drawn.
    """
    labels = labels[:PANELS]
    count = len(labels)
    matrix, resolved = np.full((count, count), np.nan), np.zeros((count, count), bool)
    place = {label: index for index, label in enumerate(labels)}
    for pair in pairs[pairs["first"].isin(labels) & pairs["second"].isin(labels)].to_dict("records"):
        i, j = place[pair["first"]], place[pair["second"]]
        matrix[i, j], matrix[j, i] = 100 * pair["difference"], -100 * pair["difference"]
        resolved[i, j] = resolved[j, i] = "better" in pair["conclusion"]
    side = max(3.4, 0.42 * count + 0.6)
    figure = Figure(figsize=(side + 3.4, side + 0.6))
    axis = figure.subplots()
    # A few differences are much larger than the others: the colour scale ends at the 80 % quantile.
    limit = max(float(np.nanquantile(np.abs(matrix), 0.8)), 0.05)
    unit = "points of test accuracy, row minus column"
    image = axis.imshow(matrix, cmap="PuOr_r", vmin=-limit, vmax=limit, label=unit)
    axis.grid(visible=False)
    for (i, j), value in np.ndenumerate(matrix):
        if i != j and not math.isnan(value):
            dark = abs(value) > 0.6 * limit
            text = (f"{value:+.2f}" if abs(value) < 9.95 else f"{value:+.0f}") if resolved[i, j] else "·"
            axis.text(j, i, text, ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
    axis.set_xticks(range(count), [str(number) for number in range(1, count + 1)])
    axis.set_yticks(range(count), [f"{plain(label)}  {number}" for number, label in enumerate(labels, 1)], fontsize=9)
    figure.colorbar(image, ax=axis, shrink=0.85, extend="both", label=unit)
    return figure
