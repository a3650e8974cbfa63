"""Plots of the tests of networks: corrupted images, accuracy under each corruption, accuracy against coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mnist_zoo.plots.style import drawn_as, plain


def corrupted_images(pictures: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the same images under each corruption, a row for each.

    Args:
        pictures: uint8 ``(corruptions, images, C, H, W)``.
        names: of the corruptions.
    """
    rows, columns, channels, height, width = pictures.shape
    gap = 2  # pixels between images
    sheet = np.full((rows * (height + gap), columns * (width + gap), channels), 255, dtype=np.uint8)
    for row, column in np.ndindex(rows, columns):
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = pictures[row, column].transpose(1, 2, 0)
    figure = Figure(figsize=(0.5 * columns + 1.4, 0.5 * rows * height / width))
    axis = figure.subplots()
    axis.imshow(sheet[..., 0] if channels == 1 else sheet, cmap="gray", vmin=0, vmax=255)
    middles = [row * (height + gap) + height / 2 for row in range(rows)]
    axis.set_yticks(middles, [plain(name.replace("_", " ")) for name in names])
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    return figure


def corruption_accuracies(accuracies: Mapping[str, Sequence[float]], names: Sequence[str]) -> Figure:
    """Draw the accuracy under each corruption as colours and numbers, a row for each configuration.

    Args:
        accuracies: fractions by configuration, in the order of `names`.
        names: of the corruptions.
    """
    values = 100 * np.array(list(accuracies.values()))
    figure = Figure(figsize=(0.55 * len(names) + 3.4, 0.32 * len(values) + 1.5))
    axis = figure.subplots()
    axis.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto", label="accuracy (%)")
    for (row, column), value in np.ndenumerate(values):
        axis.text(
            column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 60 else "black"
        )
    axis.set_xticks(range(len(names)), [plain(name.replace("_", " ")) for name in names], rotation=45, ha="right")
    axis.set_yticks(range(len(values)), [plain(name) for name in accuracies])
    axis.grid(visible=False)
    return figure


def coverage(curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw the accuracy on the most certain images against their share, a line for each configuration.

    Args:
        curves: accuracies (fractions) at equally spaced shares up to 1, by configuration.
    """
    figure = Figure(figsize=(6.8, 4.2))
    axis = figure.subplots()
    looks = drawn_as(curves)
    for name, curve in curves.items():
        colour, line, _ = looks[name]
        shares = np.arange(1, len(curve) + 1) / len(curve)
        axis.plot(100 * shares, 100 * curve, color=colour, linestyle=line, label=plain(name))
    axis.set_xlabel("coverage: share of the images that are not rejected (%)")
    axis.set_ylabel("accuracy on them (%)")
    axis.legend(loc="lower left", fontsize=8)
    return figure
