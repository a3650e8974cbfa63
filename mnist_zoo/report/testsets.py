"""Group runs by their test images, together with their predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.report.pairs import Significance, significance
from mnist_zoo.report.tables import compare


@dataclass(frozen=True)
class TestSet:
    """Runs that share validation and test images.

    Attributes:
        name: of the data set.
        table: rows of `Runs`.
        predicted: predicted classes of the test images, integers ``(R, N)``, one row for each row of the table.
        labels: true classes ``(N,)``.
        others: networks and ensembles that are no runs, on the same images, as `read_measured` returns them.
    """

    __test__ = False  # pytest collects classes named Test...

    name: str
    table: pd.DataFrame
    predicted: np.ndarray
    labels: np.ndarray
    others: pd.DataFrame | None = None

    @property
    def measured(self) -> pd.DataFrame:
        """The columns that the runs and `others` share, among them their measurements (``evaluation``)."""
        frames = [self.table] if self.others is None else [self.table, self.others]
        columns = ["label", "seed", "folder", "data_fingerprint", "evaluation"]
        return pd.concat([each[columns] for each in frames], ignore_index=True)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per configuration, best mean validation accuracy first (see `compare`)."""
        return compare(self.table)

    @cached_property
    def significance(self) -> Significance | None:
        """Which differences between configurations are significant; None if there is only one."""
        return significance(self.table, self.predicted, self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.table["classes"].iloc[0])

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct: bool ``(R, N)``."""
        return self.predicted == self.labels

    @cached_property
    def missed(self) -> np.ndarray:
        """Numbers of the test images that some run gets wrong, those that most get wrong first."""
        wrong = (~self.correct).sum(axis=0)
        return np.argsort(-wrong, kind="stable")[: np.count_nonzero(wrong)]

    @property
    def order(self) -> list[str]:
        """Labels of the configurations, best mean validation accuracy first."""
        return by_validation(self.table)

    @property
    def representatives(self) -> list[int]:
        """Row number of the lowest seed of each configuration in `order`."""
        first = self.table.sort_values("seed", kind="stable").drop_duplicates("label").reset_index()
        return first.set_index("label").loc[self.order, "index"].tolist()


def by_validation(table: pd.DataFrame) -> list[str]:
    """Return the labels of the configurations in a table of `Runs`, best mean validation accuracy first."""
    means = table.groupby("label")["val_acc"].mean()
    return means.sort_values(ascending=False, kind="stable").index.tolist()


def group_by_images(
    table: pd.DataFrame, others: pd.DataFrame | None = None
) -> tuple[list[TestSet], list[tuple[Path, str]]]:
    """Group runs that share validation and test images.

    Args:
        table: of `Runs`.
        others: of `read_measured`; each belongs to the group with its images.

    Returns:
        The groups, and an empty list: version 0.1.0 found damaged predictions here, `read_runs` leaves them out.
    """
    sets = []
    for (data, _), rows in table.groupby(["data", "images"], sort=False):
        predicted, labels = np.stack(list(rows["predicted"])), rows["labels"].iloc[0]
        own = None if others is None else others[others["data_fingerprint"].isin(rows["data_fingerprint"])]
        sets.append(TestSet(str(data), rows.reset_index(drop=True), predicted, labels, own))
    return sets, []
