"""Group runs by their test images, together with their predictions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.report.statistics import calibration, softmax
from mnist_zoo.runs import read_predictions


@dataclass(frozen=True)
class TestSet:
    """Runs that share validation and test images.

    Attributes:
        name: of the data set.
        table: rows of `Runs`, and ``ece``: the expected calibration error on the test images (a fraction).
        predicted: classes of the test images, integers ``(R, N)``, one row for each row of the table.
        labels: true classes ``(N,)``.
    """

    __test__ = False  # pytest collects classes named Test...

    name: str
    table: pd.DataFrame
    predicted: np.ndarray
    labels: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct: bool ``(R, N)``."""
        return self.predicted == self.labels

    @property
    def order(self) -> list[str]:
        """Labels of the configurations, best mean validation accuracy first."""
        means = self.table.groupby("label")["val_acc"].mean()
        return means.sort_values(ascending=False, kind="stable").index.tolist()

    @property
    def representatives(self) -> list[int]:
        """Row number of the lowest seed of each configuration in `order`."""
        first = self.table.sort_values("seed", kind="stable").drop_duplicates("label").reset_index()
        return first.set_index("label").loc[self.order, "index"].tolist()


def group_by_images(table: pd.DataFrame) -> tuple[list[TestSet], list[tuple[Path, str]]]:
    """Group runs that share validation and test images.

    Args:
        table: of `Runs`.

    Returns:
        The groups, and ``(folder, reason)`` of each run whose predictions cannot be read.
    """
    groups: dict[tuple[str, str], list[tuple[int, np.ndarray, float, np.ndarray]]] = {}
    broken = []
    for position, (folder, data) in enumerate(zip(table["folder"], table["data"], strict=True)):
        try:
            arrays = read_predictions(folder)
        except InputError as error:
            broken.append((folder, f"broken: {error}"))
            continue
        digest = hashlib.blake2b(arrays["labels"].tobytes() + b"|" + arrays["val_labels"].tobytes(), digest_size=8)
        predicted = arrays["logits"].argmax(axis=1).astype(arrays["labels"].dtype)
        ece = calibration(softmax(arrays["logits"]), arrays["labels"]).ece
        groups.setdefault((data, digest.hexdigest()), []).append((position, predicted, ece, arrays["labels"]))
    sets = []
    for (data, _), members in groups.items():
        positions, predictions, ece_values, labels = zip(*members, strict=True)
        rows = table.iloc[list(positions)].reset_index(drop=True).assign(ece=ece_values)
        sets.append(TestSet(data, rows, np.stack(predictions), labels[0]))
    return sets, broken
