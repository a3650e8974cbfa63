"""Runs that were tested on the same images, with what each of them predicted."""

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
        table: rows of `Runs`, with ``ece`` (expected calibration error on the test images, a fraction).
        predicted: classes of the test images, uint8 ``(R, N)``, a row for each of the table's.
        labels: true classes ``(N,)``.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str
    table: pd.DataFrame
    predicted: np.ndarray
    labels: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Where predictions are right: bool ``(R, N)``."""
        return self.predicted == self.labels

    @property
    def order(self) -> list[str]:
        """Labels of the configurations, best mean validation accuracy first."""
        means = self.table.groupby("label")["val_acc"].mean()
        return means.sort_values(ascending=False, kind="stable").index.tolist()

    @property
    def representatives(self) -> list[int]:
        """For each configuration in `order` the row of its lowest seed."""
        first = self.table.sort_values("seed", kind="stable").drop_duplicates("label").reset_index()
        return first.set_index("label").loc[self.order, "index"].tolist()


def group_by_images(table: pd.DataFrame) -> tuple[list[TestSet], list[tuple[Path, str]]]:
    """Group runs by the images they share; the second list names runs whose predictions cannot be read."""
    groups: dict[tuple, list] = {}
    broken = []
    for position, run in enumerate(table.itertuples()):
        try:
            arrays = read_predictions(run.folder)
        except InputError as error:
            broken.append((run.folder, f"broken: {error}"))
            continue
        digest = hashlib.blake2b(arrays["labels"].tobytes() + b"|" + arrays["val_labels"].tobytes(), digest_size=8)
        predicted = arrays["logits"].argmax(axis=1).astype(np.uint8)
        ece = calibration(softmax(arrays["logits"]), arrays["labels"]).ece
        groups.setdefault((run.data, digest.hexdigest()), []).append((position, predicted, ece, arrays["labels"]))
    sets = []
    for (data, _), members in groups.items():
        positions, predicted, ece, labels = zip(*members, strict=True)
        rows = table.iloc[list(positions)].reset_index(drop=True).assign(ece=ece)
        sets.append(TestSet(data, rows, np.stack(predicted), labels[0]))
    return sets, broken
