"""The section of the report on other data sets: ``python -m mnist_zoo.evaluate RUN --on clean data=NAME``."""

from __future__ import annotations

import pandas as pd

from mnist_zoo.report.measurements import is_own
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section
from mnist_zoo.report.statistics import accuracy_words, mean_interval
from mnist_zoo.report.testsets import TestSet

CAPTION = (
    "Accuracy (%) on the test images of other data sets with the same classes, without further training; scaled as the "
    "training images were. Mean over seeds, and its 95 % interval (Student's t). own: the test split "
    "of the same runs."
)


def transfer_sections(runs: TestSet) -> list[Section]:
    """Return the section on the other data sets on which runs were measured; none if there are none."""
    rows = transfer_table(runs.table)
    if rows.empty:
        return []
    names = list(dict.fromkeys(rows["data"]))
    shown = []
    for label, own in rows.groupby("configuration", sort=False):
        measured = (runs.table["label"] == label) & runs.table["seed"].isin(own["seed"])
        seeds, cells = own["seed"].nunique(), {}
        for name in names:
            accuracy = own.loc[own["data"] == name, "accuracy"]
            some = f" ({len(accuracy)} of {seeds} seeds)" if 0 < len(accuracy) < seeds else ""
            cells[f"{name} ({_images(rows, name)})"] = _cell(accuracy) + some
        shown.append(
            {"configuration": label, "seeds": seeds, "own": _cell(runs.table.loc[measured, "test_acc"]), **cells}
        )
    table = Block("table", pd.DataFrame(shown), CAPTION, "transfer", rows, folded=len(shown) > OPEN_ROWS)
    return [Section("Other data sets", [table])]


def transfer_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each run and data set: ``configuration, seed, data, images, accuracy`` (a fraction).

    Of several measurements of a run on one data set, the one on most images counts.
    """
    rows = [
        {
            "configuration": run["label"],
            "seed": run["seed"],
            "data": each["data"],
            "images": each["images"],
            "accuracy": each["values"]["accuracy"],
        }
        for _, run in table.iterrows()
        for each in run["evaluation"].values()
        if each["test"] == "clean" and not is_own(each, run["data_fingerprint"])
        if each["settings"].get("split", "test") == "test"
    ]
    columns = ["configuration", "seed", "data", "images", "accuracy"]
    found = pd.DataFrame(rows, columns=columns).sort_values("images", kind="stable")
    return found.drop_duplicates(["configuration", "seed", "data"], keep="last").sort_index(ignore_index=True)


def _images(rows: pd.DataFrame, name: str) -> str:
    counts = sorted({int(count) for count in rows.loc[rows["data"] == name, "images"]})
    return " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1]))) + " images"


def _cell(accuracies: pd.Series) -> str:
    if accuracies.empty:
        return "-"
    values = 100 * accuracies.to_numpy(dtype=float)
    return accuracy_words(*mean_interval(values), values.min(), values.max())
