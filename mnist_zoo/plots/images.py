"""Plots of one network's predictions: confusion matrix, grids of images, sample predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mnist_zoo.plots.style import COLOURS, plain

CORRECT, WRONG = COLOURS[0], COLOURS[1]


def confusion_matrix(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix with a logarithmic colour scale.

    Args:
        counts: images, int ``(C, C)``; rows are true classes, columns are predicted classes.
        class_names: C names.
    """
    long, names = max(map(len, class_names)) > 3, [plain(name) for name in class_names]
    figure = Figure(figsize=(7.6 if long else 6.4, 6.6 if long else 5.6))
    axis = figure.subplots()
    most = max(int(counts.max()), 2)
    image = axis.imshow(np.ma.masked_equal(counts, 0), cmap="Blues", norm=LogNorm(1, most))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            dark = count > math.sqrt(most)  # the middle of the logarithmic scale
            axis.text(j, i, f"{count}", ha="center", va="center", color="white" if dark else "black")
    axis.set_xticks(range(len(class_names)), names, rotation=40 if long else 0, ha="right" if long else "center")
    axis.set_yticks(range(len(class_names)), names)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, shrink=0.8, label="images")
    return figure


def image_grid(
    images: np.ndarray, captions: Sequence[str], wrong: Sequence[bool] | None = None, columns: int = 10
) -> Figure:
    """Draw images in a grid, each below its caption.

    Args:
        images: uint8 or float ``(N, C, H, W)``.
        captions: N texts.
        wrong: whether the network is wrong on each image; sets the colour of the caption.
        columns: images per row.
    """
    height, width = images.shape[2:]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    across, down = 1.08 * width, (1.04 + 0.19 * lines) * height  # distance between images, in pixels
    inches = 0.98 * columns
    figure = Figure(figsize=(max(inches, 3), inches * (rows * down) / (columns * across)))
    axis = figure.subplots()  # one axis for all images: the layout of one axis per image is slow
    axis.axis("off")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, bottom = index % columns * across, (index // columns + 1) * down
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        extent = (left, left + width, bottom, bottom - height)
        axis.imshow(pixels, cmap="gray_r", interpolation="nearest", extent=extent)
        colour = "black" if wrong is None else WRONG if wrong[index] else CORRECT
        top = bottom - 1.04 * height
        axis.text(left + width / 2, top, plain(caption), fontsize=8, color=colour, ha="center", va="bottom")
    axis.set_xlim(0, columns * across)
    axis.set_ylim(rows * down, 0)
    return figure


def sample_predictions(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """Draw images ``(N, C, H, W)`` with the predicted class, and the true class where the two differ."""
    captions = [
        class_names[p] if p == y else f"{class_names[p]}\ntrue: {class_names[y]}"
        for p, y in zip(predicted, labels, strict=True)
    ]
    return image_grid(images, captions, (predicted != labels).tolist())
