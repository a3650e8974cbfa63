"""What ``python -m mnist_zoo.evaluate`` measured of runs, as columns of the table of runs and as groups to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.errors import printable
from mnist_zoo.runs import Damaged, find_measured, read_evaluation

Measurement = Mapping[str, Any]


def _curve(test: str, strengths: str) -> Callable[[Mapping[str, Any]], dict[str, float]]:
    """Return the function that makes columns ``<test>_acc_<strength>`` of a test's values."""
    return lambda values: {
        f"{test}_acc_{strength:g}": accuracy
        for strength, accuracy in zip(values[strengths], values["accuracy"], strict=True)
    }


# The columns of runs.csv that each test gives, from its values; accuracies are fractions.
COLUMNS: dict[str, Callable[[Mapping[str, Any]], dict[str, float]]] = {
    **{test: _curve(test, "epsilons") for test in ("fgsm", "pgd", "pgd_l2", "square")},
    "masking": _curve("masking", "shares"),
    "corruptions": lambda values: {"corruptions_acc": values["mean"]},
    "ood": lambda values: {f"ood_auroc_{score}": pair["auroc"] for score, pair in values["mean"].items()},
    "calibration": lambda values: {
        "temperature": values["temperature"],
        "coverage_area": values["area"],
        **{f"{key}_scaled": values["scaled"][key] for key in ("nll", "brier", "ece")},
    },
}


def columns_of(measurements: Mapping[str, Measurement]) -> dict[str, float]:
    """Return the columns of one run. Of several measurements with one test the most thorough counts.

    Args:
        measurements: of `mnist_zoo.runs.read_evaluation`.
    """
    columns: dict[str, float] = {}
    for measurement in sorted(measurements.values(), key=_thoroughness):  # later ones replace the earlier
        if measurement["test"] in COLUMNS and measurement["settings"].get("split", "test") == "test":
            columns |= COLUMNS[measurement["test"]](measurement["values"])
    return columns


def _thoroughness(measurement: Measurement) -> tuple[int, float]:
    """Return by what measurements of one test are ordered: images, then steps and queries."""
    settings = measurement["settings"]
    numbers = [settings.get(name, 1) for name in ("steps", "restarts", "queries")]
    return measurement["images"], float(np.prod([n if isinstance(n, (int, float)) else 1 for n in numbers]))


def read_measured(folders: Iterable[str | Path], damaged: Damaged) -> pd.DataFrame:
    """Return the networks and ensembles that were measured outside of run folders, one in a row.

    Args:
        folders: as `mnist_zoo.runs.find_measured` takes them.
        damaged: collects the damaged folders, which are left out.

    Returns:
        The columns ``folder``, ``label`` (the network and the folder's name), ``seed`` (0), ``data_fingerprint`` and
        ``evaluation``.
    """
    rows = []
    for folder in find_measured(folders):
        with damaged.skipped(folder):
            for fingerprint, own in _by_images(read_evaluation(folder)).items():
                network = next(iter(own.values())).get("network", "network")
                label = printable(f"{network} ({folder.resolve().name})")
                rows.append((folder, label, 0, fingerprint, own))
    return pd.DataFrame(rows, columns=["folder", "label", "seed", "data_fingerprint", "evaluation"])


def _by_images(measurements: Mapping[str, Measurement]) -> dict[str, dict[str, Measurement]]:
    found: dict[str, dict[str, Measurement]] = {}
    for key, each in measurements.items():
        found.setdefault(each["fingerprint"], {})[key] = each
    return found


@dataclass(frozen=True)
class Group:
    """Measurements of several runs with one test and equal settings.

    Attributes:
        test: name of the test.
        settings: of the test.
        images: how many were measured.
        runs: the rows of the table that were measured.
        values: of each row.
    """

    test: str
    settings: Mapping[str, Any]
    images: int
    runs: pd.DataFrame
    values: list[Mapping[str, Any]]


def groups_of(table: pd.DataFrame, test: str) -> list[Group]:
    """Return the measurements with a test on the test split, grouped by their settings; most runs first.

    Args:
        table: with the columns ``label``, ``seed``, ``folder`` and ``evaluation``.
        test: name of the test.
    """
    found: dict[str, list[tuple[int, Measurement]]] = {}
    for row, measurements in enumerate(table["evaluation"]):
        for each in measurements.values():
            if each["test"] == test and each["settings"].get("split", "test") == "test":
                found.setdefault(repr((sorted(each["settings"].items()), each["images"])), []).append((row, each))
    groups = []
    for members in found.values():
        rows, measured = [row for row, _ in members], [each for _, each in members]
        first = measured[0]
        values = [each["values"] for each in measured]
        groups.append(Group(test, first["settings"], first["images"], table.iloc[rows], values))
    return sorted(groups, key=lambda group: -len(group.runs))
