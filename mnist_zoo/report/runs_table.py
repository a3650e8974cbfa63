"""The section of the report with every run: its numbers, how its training ended, and the command to repeat it."""

from __future__ import annotations

import math

import pandas as pd

from mnist_zoo.plots.style import duration
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section
from mnist_zoo.report.summary import command, short_names, training_state


def runs_section(table: pd.DataFrame) -> Section:
    """Return the section.

    Args:
        table: of `Runs`.
    """
    table = table.assign(name=short_names(table["folder"]))
    rows = [
        {
            "run": run["name"],
            "configuration": run["label"],
            "data": run["data"],
            "seed": str(run["seed"]),
            "validation": f"{100 * run['val_acc']:.2f}",
            "test": f"{100 * run['test_acc']:.2f}",
            "test loss": f"{run['test_loss']:.4f}",
            "ECE (%)": f"{100 * run['ece']:.2f}",
            "best epoch": _whole(run.get("best_epoch")),
            "epochs": _whole(run["epochs_run"]),
            "time": duration(run["fit_seconds"]),
            "training": training_state(run["curves"]) or "-",
            "command": command(run["overrides"]),
        }
        for _, run in table.sort_values("val_acc", ascending=False, kind="stable").iterrows()
    ]
    frame = pd.DataFrame(rows)
    if frame["data"].nunique() == 1:
        frame = frame.drop(columns="data")
    caption = (
        "Every run, best on validation first. Accuracies in per cent. Training: whether it overfit or had not "
        "converged, by its validation loss. runs.csv has further numbers."
    )
    return Section("Runs", [Block("table", frame, caption, "runs", folded=len(frame) > OPEN_ROWS)])


def _whole(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, (int, float)) and not math.isnan(value) else "-"
