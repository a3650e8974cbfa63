"""The section of the report on the number of training images: accuracy against images, and a power law."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.plots.style import drawn_as, plain
from mnist_zoo.report.figures import PANELS, accuracy_axis, legend_beside
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import accuracy_words, mean_interval, plus_minus
from mnist_zoo.report.testsets import TestSet

LEAST_SIZES = 3  # numbers of images with which a power law can be wrong
FROM_SIZE = ("n_train", "data_fingerprint")  # settings that follow from the number of images
CAPTION = (
    "Test accuracy (%) by number of training images: mean over seeds, and its 95 % interval (Student's t). Exponent: b "
    "of the power law error = a * images^-b, fitted to the logarithms for each seed alone; mean over seeds and its 95 "
    "% interval. Misfit: the factor by which the mean error is off the fitted one at most."
)


class PowerLaw(NamedTuple):
    """``error = a * images^-b``; `misfit` is the largest factor between a given error and the fitted one."""

    a: float
    b: float
    misfit: float


def fit_power_law(images: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Return the power law with the least squares between logarithms.

    Args:
        images: numbers of training images ``(N,)``, of which at least two differ.
        errors: error rates ``(N,)``, above 0.
    """
    slope, intercept = np.polyfit(np.log(images), np.log(errors), 1)
    residuals = np.log(errors) - (slope * np.log(images) + intercept)
    return PowerLaw(math.exp(intercept), -float(slope), math.exp(np.abs(residuals).max()))


def data_size_sections(runs: TestSet) -> list[Section]:
    """Return the section on configurations that were trained on several numbers of images; none if there are none."""
    rows = size_table(runs.table)
    if rows.empty:
        return []
    sizes, shown = sorted(rows["n_train"].unique()), []
    for name, own in rows.groupby("configuration", sort=False):
        by_size = own.groupby("n_train")["test_acc"]
        cells = {f"{size:,}": _cell(by_size.get_group(size)) if size in by_size.groups else "-" for size in sizes}
        laws = _laws(own)
        exponent = plus_minus(*mean_interval([law.b for law in laws]), 3) if laws else "-"
        means = own.groupby("n_train")["error"].mean()
        misfit = f"{fit_power_law(means.index.to_numpy(float), means.to_numpy()).misfit:.2f}"
        seeds = own["seed"].nunique()
        shown.append({"configuration": name, "seeds": seeds, **cells, "exponent": exponent, "misfit": misfit})
    table = Block("table", pd.DataFrame(shown), CAPTION, "data_size", rows, folded=len(shown) > OPEN_ROWS)
    more = f" Shown are {PANELS} of {len(shown)} configurations." if len(shown) > PANELS else ""
    caption = f"Test accuracy against training images, with 95 % intervals over seeds. Lines: fitted power laws.{more}"
    blocks = [*figure_block("data-size", _plot(rows), caption), table]
    length = _length(runs.table, rows)
    blocks += [Block("text", length)] if length else []
    return [Section("Accuracy against training images", blocks)]


def size_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each run of a configuration that was trained on at least `LEAST_SIZES` numbers of images.

    Args:
        table: of `Runs`.

    Returns:
        Columns ``configuration`` (the name without the number of images), ``seed, n_train, n_test, test_acc``,
        ``error`` (at least half an image, because 0 has no logarithm) and ``row`` (the row of the table).
    """
    families = table["settings"].map(_family)
    found = []
    for _, own in table.groupby(families, sort=False):
        if own["n_train"].nunique() < LEAST_SIZES:
            continue
        words = [word for word in str(own["label"].iloc[0]).split() if not word.startswith(("n_train=", "images="))]
        error = np.maximum(1 - own["test_acc"], 0.5 / own["n_test"])
        columns = own[["seed", "n_train", "n_test", "test_acc"]]
        found.append(columns.assign(error=error, configuration=" ".join(words), row=own.index))
    return pd.concat(found).sort_values(["configuration", "n_train", "seed"]) if found else pd.DataFrame()


def _family(settings: str) -> str:
    """Return the settings of a run without those that follow from the number of its training images."""
    return json.dumps({key: value for key, value in json.loads(settings).items() if key not in FROM_SIZE})


def _laws(own: pd.DataFrame) -> list[PowerLaw]:
    """Return the power law of each seed that was trained on at least `LEAST_SIZES` numbers of images."""
    seeds = [each for _, each in own.groupby("seed") if each["n_train"].nunique() >= LEAST_SIZES]
    return [fit_power_law(each["n_train"].to_numpy(float), each["error"].to_numpy()) for each in seeds]


def _cell(accuracies: pd.Series) -> str:
    values = 100 * accuracies.to_numpy()
    return accuracy_words(*mean_interval(values), values.min(), values.max())


def _length(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return a sentence on how long networks were trained: with equal steps, equal epochs, or neither; or nothing."""
    own = table.loc[rows["row"]].dropna(subset="epochs")
    if own.empty:  # classical models only
        return ""
    repeated = {json.loads(text)["config"].get("data", {}).get("epoch_images") for text in own["settings"]}
    epochs = sorted(own["epochs"].astype(int).unique())
    length = f"{epochs[0]} epochs" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]} epochs"
    if len(repeated) == 1 and None not in repeated:
        images = f"{repeated.pop():,} images"
        return (
            f"All were trained for an equal number of steps: {length} of {images}, of which small shares are repeated."
        )
    if repeated == {None}:
        return f"Trained for {length} of their own images: fewer images mean fewer steps, too."
    return f"Trained for {length}; some epochs repeat images (data.epoch_images) and some do not: steps differ."


def _plot(rows: pd.DataFrame) -> Figure:
    """Draw errors, labelled as accuracy, against images on two log scales, with the fitted power laws."""
    figure = Figure(figsize=(9.5, 5.2))
    axis = figure.subplots()
    families = list(rows.groupby("configuration", sort=False))[:PANELS]
    looks = drawn_as(str(name) for name, _ in families)
    for name, own in families:
        colour, line, marker = looks[str(name)]
        points = []
        for size, each in own.groupby("n_train"):
            mean, half = mean_interval(each["error"].to_numpy())
            points.append((size, 100 * mean, 0.0 if math.isnan(half) else 100 * half))
        images, errors, reach = np.array(points, dtype=float).T
        law = fit_power_law(images, errors)
        bars = [np.minimum(reach, 0.9 * errors), reach]  # a log scale has no place for 0
        style: dict[str, Any] = {"color": colour, "label": plain(str(name))}
        axis.errorbar(images, errors, bars, linestyle="none", marker=marker, capsize=2, **style)
        axis.plot(images, law.a * images**-law.b, linestyle=line, linewidth=1, **style)
    axis.set_xscale("log")
    axis.set_xlabel("training images")
    axis.set_ylabel("test accuracy (%)")
    accuracy_axis(axis, int(rows["n_test"].iloc[0]))
    legend_beside(figure, [str(name) for name, _ in families])
    return figure
