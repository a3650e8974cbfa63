"""Tables of finished runs: means over seeds, published numbers, significant differences, scores per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from mnist_zoo.report import statistics as st
from mnist_zoo.report.reading import GOALS
from mnist_zoo.splits import SPLITS

MEASURED = {f"{split}_{metric}": f"{split}_{metric}" for split in SPLITS for metric in ("acc", "loss")}
MEASURED |= {"clean_test_acc": "clean_test_acc"}
MEASURED |= {"epochs": "epochs_run", "fit_seconds": "fit_seconds", "images_per_second": "train_images_per_second"}

SHARED = ("model", "data", "lr", "split", "num_params", "flops", "n_test")  # by the runs of a configuration
NAMED = 4  # configurations that a sentence names


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per configuration, best validation accuracy first.

    Args:
        table: of `Runs`.

    Returns:
        Columns ``label``, those of `SHARED`, and ``n``, the number of seeds. ``device`` names all devices, and
        ``stacked`` says whether a run was a job of a stack, whose time is that of the stack. ``megabytes`` is the size
        of the parameters in float32, and of what a classical model is when it is fitted. What a model does not have is
        NaN.
        Then the mean over seeds of each accuracy (a fraction) and loss (nats), of ``epochs``, ``fit_seconds`` and
        ``images_per_second``, each with ``..._half``: half the 95 % interval of the mean (NaN for one seed).
        ``clean_test_acc`` is the test accuracy without MNIST's mislabelled images. ``epochs_to_98`` and
        ``epochs_to_99`` are means over the seeds that reach this validation accuracy, ``..._reached`` is their number
        and ``..._of`` that of the seeds for which it is known.
        ``..._acc_least`` and ``..._acc_greatest`` are the range over seeds. ``seed_sd`` is the standard deviation of
        the test accuracy over seeds, ``sampling_se`` its standard error for random test images.
    """
    rows = []
    for label, runs in table.groupby("label", sort=False):
        first = runs.iloc[0]
        row = {"label": label} | {key: first[key] for key in SHARED} | {"n": len(runs)}
        row["device"] = ", ".join(dict.fromkeys(runs["device"]))
        row["stacked"] = "speed" in runs and any("stacked" in used for used in runs["speed"] if isinstance(used, list))
        row["megabytes"] = np.nansum([4 * first["num_params"], first.get("fitted_bytes", 0.0)]) / 1e6
        for name, column in MEASURED.items():
            row[name], row[f"{name}_half"] = st.mean_interval(runs[column].to_numpy())
        for name in (*(f"{split}_acc" for split in SPLITS), "clean_test_acc"):
            accuracies = runs[name].to_numpy()
            row[f"{name}_least"], row[f"{name}_greatest"] = accuracies.min(), accuracies.max()
        for goal in GOALS:
            row |= _epochs_to(f"epochs_to_{goal}", runs[f"epochs_to_{goal}"].dropna().to_numpy())
        row["seed_sd"] = runs["test_acc"].std(ddof=1) if len(runs) > 1 else math.nan
        row["sampling_se"] = st.sampling_error(row["test_acc"], int(first["n_test"]))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["data", "val_acc"], ascending=[True, False], ignore_index=True)


def _epochs_to(name: str, epochs: np.ndarray) -> dict[str, Any]:
    reached = epochs[np.isfinite(epochs)]
    mean = float(reached.mean()) if len(reached) else math.nan
    return {name: mean, f"{name}_reached": len(reached), f"{name}_of": len(epochs)}


def enumeration(labels: Sequence[str]) -> str:
    """Return names as an enumeration of at most `NAMED` of them."""
    shown = list(labels[:NAMED])
    if len(labels) > NAMED:
        return f"{', '.join(shown)} and {len(labels) - NAMED} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def stacked_note(rows: pd.DataFrame) -> str:
    """Return the end of a caption on times in which jobs of stacks stand beside others; empty without such jobs.

    Args:
        rows: of `compare`.
    """
    labels = rows.loc[rows["stacked"], "label"].tolist()
    return f" The time of a stacked job is that of its whole stack: {enumeration(labels)}." if labels else ""


def goal_cells(row: Any) -> list[str]:
    """Return the epochs to each validation accuracy of `GOALS` of a row of `compare` as table cells."""
    cells = []
    for goal in GOALS:
        mean, reached, of = (getattr(row, f"epochs_to_{goal}{end}") for end in ("", "_reached", "_of"))
        some = f"{mean:.3g}" if reached == of else f"{mean:.3g} ({reached} of {of} seeds)"
        cells.append("-" if not of else some if reached else "never")
    return cells


def seeds_cell(count: int) -> str:
    """Return a number of seeds as a table cell. One seed is written as a word, because it has no interval."""
    return "one seed" if count == 1 else str(count)


def number_cell(value: float, form: str = ",.0f") -> str:
    """Return a number as a table cell, and ``-`` for one that a model does not have, such as a learning rate."""
    return "-" if math.isnan(value) else format(value, form)


def accuracy_cells(row: Any) -> list[str]:
    """Return the training, validation and test accuracy of a row of `compare` as table cells, in per cent."""
    numbers = [[100 * getattr(row, f"{s}_acc{end}") for end in ("", "_half", "_least", "_greatest")] for s in SPLITS]
    return [st.accuracy_words(*each) for each in numbers]


def class_report(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, F1 (fractions) and images of each class, and their macro and weighted averages."""
    scores, known = metrics.precision_recall_fscore_support, range(len(class_names))
    rows = list(zip(class_names, *scores(labels, predicted, labels=known, zero_division=0.0), strict=True))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = scores(labels, predicted, labels=known, average=average, zero_division=0.0)
        rows.append((f"{average} average", precision, recall, f1, len(labels)))
    return pd.DataFrame(rows, columns=["class", "precision", "recall", "f1", "images"])


def count_confusions(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of images of each true class (row) and predicted class (column): int ``(classes, classes)``."""
    # Not sklearn's confusion_matrix, which takes milliseconds for each network.
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def frequent_confusions(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], most: int = 5
) -> list[str]:
    """Return the most frequent confusions as texts: ``4 as 9: 12 of 982 (1.2 %)``."""
    matrix = count_confusions(labels, predicted, len(class_names))
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    words = []
    for true, wrong in zip(*np.unravel_index(order, matrix.shape), strict=True):
        if count := matrix[true, wrong]:
            share = 100 * count / totals[true]
            words.append(f"{class_names[true]} as {class_names[wrong]}: {count} of {totals[true]:,} ({share:.1f} %)")
    return words
