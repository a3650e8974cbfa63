"""The plot of attribution maps: each image beside the maps of its predicted class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mnist_zoo.plots.style import plain

CELL = 1.25  # inches


def attribution_panel(images: np.ndarray, maps: Mapping[str, np.ndarray], captions: Sequence[str]) -> Figure:
    """Draw images and their maps, one row for each image.

    Args:
        images: uint8 ``(N, C, H, W)`` with one or three channels.
        maps: float ``(N, H, W)`` by name. Maps without negative values are drawn from white to black, others in blue
            (against the class) and red (for it), each on its own scale.
        captions: N texts, left of the images.
    """
    columns = 1 + len(maps)
    figure = Figure(figsize=(CELL * (columns + 1), CELL * len(images) + 0.3))
    axes = figure.subplots(len(images), columns, squeeze=False)
    for row, (image, caption) in enumerate(zip(images, captions, strict=True)):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        axes[row, 0].imshow(pixels, cmap="gray_r", vmin=0, vmax=255)
        axes[row, 0].set_ylabel(plain(caption), rotation=0, ha="right", va="center", fontsize=8)
        for axis, values in zip(axes[row, 1:], (each[row] for each in maps.values()), strict=True):
            most = float(np.abs(values).max()) or 1.0
            if values.min() >= 0:
                axis.imshow(values, cmap="gray_r", vmin=0, vmax=most)
            else:
                axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
    for axis, name in zip(axes[0], ("image", *maps), strict=True):
        axis.set_title(name, fontsize=9)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(visible=False)
        for side in axis.spines.values():
            side.set_visible(False)
    return figure
