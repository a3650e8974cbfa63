"""The plot of accuracies with their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.plots.style import drawn_as, plain

SHOWN = 40  # most configurations; more are not readable
LEAST_SPAN = 0.2  # percentage points that the axis covers at least


def accuracies(rows: pd.DataFrame) -> Figure:
    """Draw validation accuracy (hollow) and test accuracy (filled) of configurations with intervals over seeds.

    Args:
        rows: of `compare`; the first `SHOWN` are drawn.
    """
    rows = rows.head(SHOWN)
    figure = Figure(figsize=(9.5, 0.3 * len(rows) + 1.2))
    axis = figure.subplots()
    reach, looks = [], drawn_as(rows["label"])
    for split, shift in (("val", -0.14), ("test", 0.14)):
        values = 100 * rows[f"{split}_acc"].to_numpy()
        half = 100 * rows[f"{split}_acc_half"].to_numpy()
        reach += [np.fmax(values - half, values - 5), np.fmin(values + np.nan_to_num(half), 100)]
        for place, (label, value, width) in enumerate(zip(rows["label"], values, half, strict=True)):
            colour, _, marker = looks[label]
            bar = np.array([[width], [min(width, 100 - value)]]) if width > 0 else None
            face = "white" if split == "val" else colour
            axis.errorbar(
                value,
                place + shift,
                xerr=bar,
                color=colour,
                marker=marker,
                markerfacecolor=face,
                capsize=3,
                markersize=6,
            )
    low, high = np.nanmin(np.concatenate(reach)), np.nanmax(np.concatenate(reach))
    span = max(high - low, LEAST_SPAN)
    axis.set_xlim(low - 0.05 * span, high + 0.05 * span)
    axis.set_yticks(range(len(rows)), [plain(label) for label in rows["label"]], fontsize=9)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel("accuracy (%); hollow: validation, filled: test")
    return figure
