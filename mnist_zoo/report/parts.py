"""The section of the report on labels that consist of parts: accuracy of pairs and of single digits."""

from __future__ import annotations

import pandas as pd

from mnist_zoo.report.sections import OPEN_ROWS, Block, Section
from mnist_zoo.report.statistics import accuracy_words, mean_interval
from mnist_zoo.report.testsets import TestSet

CAPTION = (
    "Accuracy (%) of whole labels and of their single parts (the digits of a pair): mean over seeds, and its 95 % "
    "interval (Student's t)."
)
COLUMNS = ("val_acc", "val_part_acc", "test_acc", "test_part_acc")


def parts_sections(runs: TestSet) -> list[Section]:
    """Return the section on the parts of labels; none if the labels have none."""
    table = runs.table
    if "test_part_acc" not in table or table["test_part_acc"].isna().any():
        return []
    rows = []
    for label in runs.order:
        own = table[table["label"] == label]
        val, val_part, test, test_part = (_cell(own[column]) for column in COLUMNS)
        row = {"configuration": label, "seeds": len(own), "validation": val, "validation, parts": val_part}
        row |= {"test": test, "test, parts": test_part}
        rows.append(row)
    raw = table[["label", "seed", *COLUMNS]]
    block = Block("table", pd.DataFrame(rows), CAPTION, "parts", raw, folded=len(rows) > OPEN_ROWS)
    return [Section("Parts of the labels", [block])]


def _cell(accuracies: pd.Series) -> str:
    values = 100 * accuracies.to_numpy(dtype=float)
    return accuracy_words(*mean_interval(values), values.min(), values.max())
