"""Figures of one network's predictions: confusion matrix, reliability, grids of images."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mnist_zoo.plots.style import COLOURS
from mnist_zoo.report.statistics import Calibration

WRONG, RIGHT = COLOURS[1], COLOURS[0]


def confusion_matrix(counts: np.ndarray, class_names: list[str]) -> Figure:
    """Draw counts ``(C, C)``: row the true class, column the predicted one; colours follow the logarithm."""
    long = max(map(len, class_names)) > 3
    figure = Figure(figsize=(7.6 if long else 6.4, 6.6 if long else 5.6))
    axis = figure.subplots()
    shown = np.ma.masked_equal(counts, 0)
    image = axis.imshow(shown, cmap="Blues", norm=LogNorm(1, max(int(counts.max()), 2)))
    middle = math.sqrt(max(int(counts.max()), 2))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axis.text(j, i, f"{count}", ha="center", va="center", color="white" if count > middle else "black")
    axis.set_xticks(range(len(class_names)), class_names, rotation=40 if long else 0, ha="right" if long else "center")
    axis.set_yticks(range(len(class_names)), class_names)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, shrink=0.8, label="images")
    return figure


def reliability(calibrations: dict[str, Calibration]) -> Figure:
    """Draw accuracy against confidence, a line a network (by its name), over the images in each bin of the first."""
    figure = Figure(figsize=(6.4, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1, label="perfect")
    for index, (name, measured) in enumerate(calibrations.items()):
        label = f"{name}: ECE {100 * measured.ece:.2f} %"
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


def image_grid(images: np.ndarray, captions: list[str], wrong: list[bool] | None = None, columns: int = 10) -> Figure:
    """Draw uint8 or float images ``(N, C, H, W)``, each under its caption, in another colour where it is wrong."""
    height, width = images.shape[2:]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    across, down = 1.08 * width, (1.04 + 0.19 * lines) * height  # pixels from an image to the next
    inches = 0.98 * columns
    figure = Figure(figsize=(max(inches, 3), inches * (rows * down) / (columns * across)))
    axis = figure.subplots()  # one for all: to lay out an axis for each takes matplotlib long
    axis.axis("off")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, bottom = index % columns * across, (index // columns + 1) * down
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        place = (left, left + width, bottom, bottom - height)
        axis.imshow(pixels, cmap="gray_r", interpolation="nearest", extent=place)
        colour = "black" if wrong is None else WRONG if wrong[index] else RIGHT
        top = bottom - 1.04 * height
        axis.text(left + width / 2, top, caption, fontsize=8, color=colour, ha="center", va="bottom")
    axis.set_xlim(0, columns * across)
    axis.set_ylim(rows * down, 0)
    return figure


def sample_predictions(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, class_names: list[str]) -> Figure:
    """Draw images ``(N, C, H, W)`` under what was predicted, and the true class where that is another."""
    captions = [
        class_names[p] if p == y else f"{class_names[p]}\ntrue: {class_names[y]}"
        for p, y in zip(predicted, labels, strict=True)
    ]
    return image_grid(images, captions, (predicted != labels).tolist())
