"""Compact predictions of the collected runs, from which every interval and p-value can be computed again.

``results/predictions/<experiment>/<configuration>-<digest>.npz`` holds one configuration: ``seeds``; ``classes``, the
predicted class of every test image for each seed, uint8 ``(n, N)``; ``labels``, uint8 ``(N,)``; and ``probabilities``
of the lowest seed to four decimals, float16 ``(N, C)``.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import softmax
from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.report.mislabelled import clean_accuracy
from mnist_zoo.runs import read_predictions

FOLDER = "predictions"


def path_of(results: Path, experiment: str, label: str, settings: str) -> Path:
    """Return the file of a configuration.

    Args:
        results: folder of the CSV files.
        experiment: name of the experiment.
        label: name of the configuration, for readers.
        settings: the text that identifies the configuration (column ``settings`` of the CSV files).
    """
    digest = hashlib.blake2b(settings.encode(), digest_size=4).hexdigest()
    existing = sorted((results / FOLDER / experiment).glob(f"*-{digest}.npz"))
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "_", label)[:60]
    return existing[0] if existing else results / FOLDER / experiment / f"{name}-{digest}.npz"


def add(results: Path, experiment: str, runs: pd.DataFrame) -> list[Path]:
    """Add the predictions of runs to the files of their configurations; those of a known seed are replaced.

    Args:
        results: folder of the CSV files.
        experiment: name of the experiment.
        runs: rows of `Runs`, all of this experiment.

    Returns:
        The files written.

    Raises:
        InputError: if the predictions of a configuration are not for the same test images.
    """
    written = []
    for (label, settings), own in runs.groupby(["label", "settings"]):
        path = path_of(results, experiment, str(label), str(settings))
        known = read(path) if path.exists() else None
        labels = own["labels"].iloc[0] if known is None else known["labels"]
        if not all(np.array_equal(each, labels) for each in own["labels"]):
            raise InputError(f"{path}: the new runs were tested on other images")
        classes = {} if known is None else dict(zip(known["seeds"].tolist(), known["classes"], strict=True))
        classes |= {int(run["seed"]): run["predicted"].astype(np.uint8) for _, run in own.iterrows()}
        seeds = sorted(classes)
        lowest = own[own["seed"] == seeds[0]]
        if len(lowest):
            logits = read_predictions(lowest["folder"].iloc[0])["logits"]
            probabilities: Any = softmax(logits).round(4).astype(np.float16)  # rounded: it compresses better
        else:
            probabilities = known["probabilities"] if known else None
        content = io.BytesIO()
        np.savez_compressed(
            content,
            seeds=np.array(seeds),
            classes=np.stack([classes[seed] for seed in seeds]),
            labels=labels.astype(np.uint8),
            probabilities=np.asarray(probabilities),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
        written.append(path)
    return written


def read(path: Path) -> dict[str, Any]:
    """Return the arrays of a file.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        with np.load(path) as arrays:
            return {key: arrays[key] for key in ("seeds", "classes", "labels", "probabilities")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}): take it from the repository") from error


def clean_accuracies(table: pd.DataFrame, results: Path, experiment: str) -> list[float]:
    """Return each row's test accuracy without MNIST's mislabelled images; NaN without stored predictions.

    Args:
        table: of results, with the column ``label``.
        results: folder of the CSV files.
        experiment: name of the experiment.
    """
    found: dict[tuple[str, int], float] = {}
    for label, settings in set(zip(table["label"], table["settings"], strict=True)):
        path = path_of(results, experiment, label, settings)
        if path.exists():
            arrays = read(path)
            for seed, classes in zip(arrays["seeds"].tolist(), arrays["classes"], strict=True):
                found[settings, seed] = clean_accuracy(arrays["labels"], classes)
    return [found.get(key, math.nan) for key in zip(table["settings"], table["seed"], strict=True)]


def with_predictions(
    table: pd.DataFrame, results: Path, experiment: str
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the rows of a table of results whose predictions are stored, the predicted classes, and the labels.

    Only rows on the largest group of equal test images are returned, so that configurations can be compared.

    Args:
        table: as `read_results` returns it.
        results: folder of the CSV files.
        experiment: name of the experiment.

    Returns:
        The rows (R of them), uint8 ``(R, N)`` and uint8 ``(N,)``. Without any stored predictions all are empty.
    """
    found: dict[bytes, list[tuple[int, np.ndarray]]] = {}
    for (label, settings), rows in table.groupby(["label", "settings"], sort=False):
        path = path_of(results, experiment, str(label), str(settings))
        if not path.exists():
            continue
        arrays = read(path)
        classes = dict(zip(arrays["seeds"].tolist(), arrays["classes"], strict=True))
        members = found.setdefault(arrays["labels"].tobytes(), [])
        seeds = zip(rows.index.tolist(), rows["seed"].tolist(), strict=True)
        members += [(int(position), classes[seed]) for position, seed in seeds if seed in classes]
    if not any(found.values()):
        return table[:0], np.empty((0, 0), np.uint8), np.empty(0, np.uint8)
    key, members = max(found.items(), key=lambda item: len(item[1]))
    rows = table.loc[[position for position, _ in members]].reset_index(drop=True)
    return rows, np.stack([classes for _, classes in members]), np.frombuffer(key, np.uint8)
