"""Read run folders into one pandas table."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import brier, calibration, perfect_ece, softmax
from mnist_zoo.errors import InputError, printable
from mnist_zoo.report.measurements import columns_of
from mnist_zoo.report.mislabelled import clean_accuracy
from mnist_zoo.runs import (
    CURVE_COLUMNS,
    Damaged,
    DamagedFile,
    find_runs,
    read_curves,
    read_evaluation,
    read_metrics,
    read_overrides,
    read_predictions,
    read_status,
)
from mnist_zoo.runs.identity import split_varies
from mnist_zoo.runs.records import METRICS, METRICS_FILE, PREDICTIONS_FILE
from mnist_zoo.runs.status import progress_of

FIELDS = METRICS.fields  # of metrics.json that the table has; others are not checked
CHOICES = ("augment", "optimizer", "scheduler")  # groups of settings; a classical model has none
NUMBERS = ("lr", "batch_size", "epochs", "epochs_run", "num_params", "flops", "train_images_per_second", "fitted_bytes")
# Runs with equal values of these, "model_options" and "data_fingerprint" belong to one configuration.
PLAIN_SETTINGS = ("model", "data", "n_train", "lr", "batch_size", "epochs")
SETTINGS = (*PLAIN_SETTINGS, *CHOICES, "config")
NAMED_GROUPS = ("optimizer", "scheduler", "config.adversary")  # of settings: another name implies other options
GOALS = (98, 99)  # per cent: the validation accuracies whose first epoch the table has
FIXED, VARIES = "fixed", "varies"  # the split into training and validation images, over the seeds
LONGEST_LABEL = 120  # characters
NOT_IN_CSV = (
    "settings",
    "overrides",
    "folder",
    "curves",
    "predicted",
    "confidence",
    "labels",
    "images",
    "test_images",
    "evaluation",
)  # columns of the table


@dataclass(frozen=True)
class Runs:
    """Finished runs, and the run folders that cannot be used.

    Attributes:
        table: one row per finished run, with the fields of ``metrics.json`` (NaN, or an empty dict, for those that a
            classical model or a network does not have) and: ``folder`` (Path), ``experiment``
            (name or None), ``overrides`` (list of str, as on the command line), ``settings`` (a text that is equal
            for runs of one configuration) and ``label`` (the shortest name that tells its configuration from the
            others in the table). Of the other files: ``curves`` (float64 ``(epochs, columns)``, see `CURVE_COLUMNS`),
            ``predicted`` and ``labels`` (predicted and true classes of the test images, ``(N,)``), ``confidence``
            (probability of the predicted class in whole per cent, uint8 ``(N,)``), on the test images
            ``ece`` (the expected calibration error, a fraction), ``perfect_ece`` (that of a perfectly calibrated
            network with the same probabilities) and ``brier`` (the Brier score), ``clean_test_acc`` (the accuracy
            without MNIST's mislabelled test images, NaN for other test sets), ``epochs_to_98`` and ``epochs_to_99``
            (the first epoch with that validation accuracy, infinite if there is none), ``classes`` (their number) and
            ``images`` (a text that is equal for runs on the same validation and test labels and classes). ``split`` is
            ``varies`` for runs that were asked for another split with each seed (``data.split_seed=${seed}``), else
            ``fixed``; ``images`` of such runs depends on the test labels alone. Of ``evaluation.json``: ``evaluation``
            (its measurements), and columns such as ``fgsm_acc_0.1``.
        skipped: ``(folder, reason)`` of each run folder that is unfinished, failed, damaged or a repetition.
    """

    table: pd.DataFrame
    skipped: list[tuple[Path, str]]


def read_runs(
    folders: Iterable[str | Path],
    damaged: Damaged | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Runs:
    """Read every run at or below the given folders. Each file is read and checked once.

    Args:
        folders: sweeps, searches or run folders.
        damaged: collects the damaged run folders, which are left out. Each is named on stderr.
        progress: called with the share that is done, from 0 to 1.

    Raises:
        InputError: if a folder does not exist, or if there is no finished run.
    """
    places = [Path(folder) for folder in folders]
    for folder in places:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: name a sweep or a run folder below outputs/")
    damaged = Damaged() if damaged is None else damaged
    records: list[dict] = []
    skipped: list[tuple[Path, str]] = []
    seen: dict[tuple[str | Path, str | None], Path] = {}
    drawn: dict[tuple[str, int], Path] = {}  # seeds of configurations
    labels: dict[str, np.ndarray] = {}
    found_folders = [*dict.fromkeys(find_runs(places))]
    for number, folder in enumerate(found_folders):
        progress(number / len(found_folders))
        with damaged.skipped(folder):
            status = read_status(folder) or {}
            reason = _why_unfinished(folder, status)
            record = {} if reason else _read_run(folder, labels)
            # The seed that both ways of splitting share belongs to both.
            key = (status.get("identity") or folder, record.get("split"))
            first = seen.setdefault(key, folder) if record else folder
            if first != folder:
                reason = f"repeats {first}: counted once"
            elif record:
                # Another device or version: for statistics over seeds it is no further sample.
                first = drawn.setdefault((record["settings"], record["seed"]), folder)
                if first != folder:
                    reason = f"repeats {first} (equal settings and seed): counted once"
            if reason:
                skipped.append((folder, reason))
            else:
                records.append(record)
        if folder in damaged.folders:
            error = damaged.folders[folder]
            skipped.append((folder, f"damaged: {error.path.name}: {error.what}"))
    if not records:
        found = f"{len(skipped)} found, the first: {skipped[0][0].name}: {skipped[0][1]}" if skipped else "none found"
        raise InputError(f"no finished run below {', '.join(map(str, places))} ({found})")
    table = pd.DataFrame(records)
    table = table.reindex(columns=[*table, *(column for column in NUMBERS if column not in table)])
    table["images"] = _join_splits(table)
    table["label"] = name_configurations(table)
    return Runs(table.sort_values(["data", "label", "seed"], ignore_index=True), skipped)


def _join_splits(table: pd.DataFrame) -> list[str]:
    """Return ``images``, for runs whose split varies that of a run with a fixed split on the same test images."""
    fixed = table[table["split"] == FIXED]
    known = dict(zip(zip(fixed["data"], fixed["test_images"], strict=True), fixed["images"], strict=True))
    keys = zip(table["data"], table["test_images"], strict=True)
    varies = table["split"] == VARIES
    return [known.get(key, own) if v else own for key, own, v in zip(keys, table["images"], varies, strict=True)]


def _why_unfinished(folder: Path, status: Mapping[str, Any]) -> str | None:
    """Return why a run has no metrics, or None if it has."""
    if (folder / METRICS_FILE).exists():
        return None
    if status.get("state") == "failed":
        return f"failed: {status.get('reason') or 'no reason recorded'}"
    if status.get("state") == "finished":
        raise DamagedFile(folder / METRICS_FILE, "there is no such file", METRICS.cure)
    return f"unfinished: {progress_of(status)}"


def _read_run(folder: Path, known_labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the table row of a finished run. Equal arrays of labels are kept once, in `known_labels`."""
    metrics = read_metrics(folder)
    if metrics is None:
        raise DamagedFile(folder / METRICS_FILE, "it cannot be read", METRICS.cure)
    overrides = read_overrides(folder)
    rows = [[row[column] for column in CURVE_COLUMNS] for row in read_curves(folder)]
    curves = np.array(rows, dtype=float).reshape(-1, len(CURVE_COLUMNS))
    arrays = read_predictions(folder)
    if problem := _contradiction(metrics, arrays):
        raise DamagedFile(folder / PREDICTIONS_FILE, problem, METRICS.cure)
    logits, labels = arrays["logits"], arrays["labels"].astype(np.int64)
    classes = logits.shape[1]
    test_images = f"{_digest(labels)}-{classes}"
    measurements = read_evaluation(folder)
    settings = {key: metrics.get(key) for key in (*SETTINGS, "model_options", "data_fingerprint")}
    varies = split_varies(overrides) and "images_fingerprint" in metrics
    if varies:  # a split for each seed is no setting: all seeds are one configuration
        settings |= {"data_fingerprint": metrics["images_fingerprint"], "split": VARIES}
    probabilities = softmax(logits)
    predicted = logits.argmax(axis=1).astype(np.min_scalar_type(classes))
    return {key: metrics[key] for key in FIELDS if key in metrics} | {
        **{key: metrics.get(key, {}) for key in CHOICES},
        "folder": folder,
        "experiment": next((o.partition("=")[2] for o in overrides if o.startswith("experiment=")), None),
        "overrides": overrides,
        "settings": json.dumps(settings, sort_keys=True),
        "curves": curves,
        **{f"epochs_to_{goal}": _first_epoch(curves, goal / 100) for goal in GOALS},
        "predicted": predicted,
        "clean_test_acc": clean_accuracy(labels, predicted),
        "labels": known_labels.setdefault(test_images, labels),
        "confidence": np.rint(100 * probabilities.max(axis=1)).astype(np.uint8),
        **_sureness(probabilities, labels),
        "classes": classes,
        "split": VARIES if varies else FIXED,
        "test_images": test_images,
        "images": test_images if varies else f"{test_images}-{_digest(arrays['val_labels'])}",
        "evaluation": measurements,
        **columns_of(measurements, metrics["data_fingerprint"]),
    }


def _digest(labels: np.ndarray) -> str:
    return hashlib.blake2b(labels.astype(np.int64).tobytes(), digest_size=8).hexdigest()


def _first_epoch(curves: np.ndarray, accuracy: float) -> float:
    """Return the first epoch with at least this validation accuracy; infinity if there is none, NaN without epochs."""
    if not len(curves):
        return math.nan
    reached = curves[:, CURVE_COLUMNS.index("val_acc")] >= accuracy
    return float(curves[reached.argmax(), CURVE_COLUMNS.index("epoch")]) if reached.any() else math.inf


def _sureness(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {
        "ece": calibration(probabilities, labels).ece,
        "perfect_ece": perfect_ece(probabilities),
        "brier": brier(probabilities, labels),
    }


def _contradiction(metrics: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str | None:
    """Return in what predictions and metrics of one run contradict each other, or None."""
    for split, prefix in (("test", ""), ("val", "val_")):
        logits, labels = arrays[f"{prefix}logits"], arrays[f"{prefix}labels"]
        if len(labels) != metrics[f"n_{split}"]:
            return f"{len(labels)} {prefix}labels, but n_{split} is {metrics[f'n_{split}']}"
        highest, own = logits.max(axis=1), logits[np.arange(len(labels)), labels]
        if np.isneginf(highest).any():
            return f"an image of {prefix}logits has no possible class"
        # Equal logits: which of the classes is predicted depends on the library.
        most = int((own == highest).sum())
        least = most - int(((logits == highest[:, None]).sum(axis=1)[own == highest] > 1).sum())
        correct = metrics[f"{split}_acc"] * len(labels)
        if not least - 0.5 < correct < most + 0.5:
            return f"{most} of {len(labels)} {prefix}logits are correct, but {split}_acc is {metrics[f'{split}_acc']}"
    return None


def augment_name(augment: Mapping[str, Any] | None) -> str:
    """Return the name of the preset that an augmentation equals, or its settings as ``name=value`` words."""
    active = {key: value for key, value in (augment or {}).items() if value and value != "zeros"}
    if not active:
        return "none"
    from mnist_zoo.data.augment import PRESETS  # here: it imports torch

    for name, preset in PRESETS.items():
        if active == preset:
            return name
    return " ".join(
        value if isinstance(value, str) else f"{key}={setting_text(value)}" for key, value in active.items()
    )


def name_configurations(table: pd.DataFrame) -> list[str]:
    """Return the label of each run: its model, and the settings that differ between the runs of that model."""
    flat = {settings: flatten(json.loads(settings)) for settings in table["settings"].unique()}
    by_model, by_data = (varying_keys(flat.values(), keys) for keys in (("model",), ("model", "data")))
    labels: dict[str, str] = {}
    taken: dict[str, dict[str, Any]] = {}
    for settings, own in flat.items():
        differing = by_model[(own["model"],)]
        varying = [key for key in own if key in differing]
        # The name of the data set already implies its size and fingerprint.
        if "data" in varying:
            implied, same_data = ("n_train", "data_fingerprint"), by_data[own["model"], own["data"]]
            varying = [key for key in varying if key not in implied or key in same_data]
        if "n_train" in varying or "split" in differing:
            varying = [key for key in varying if key != "data_fingerprint"]
        for group in NAMED_GROUPS:
            if f"{group}.name" in varying:
                varying = [key for key in varying if not key.startswith(f"{group}.") or key.endswith(".name")]
        label = printable(" ".join([own["model"], *(label_word(key, own[key]) for key in varying if key != "model")]))
        if len(label) > LONGEST_LABEL or taken.setdefault(label, own) != own:  # as in 0.1234561 and 0.1234562
            label = f"{label[: LONGEST_LABEL - 10]} #{hashlib.blake2b(settings.encode(), digest_size=3).hexdigest()}"
        labels[settings] = label
    return [labels[settings] for settings in table["settings"]]


def varying_keys(flat: Iterable[dict[str, Any]], group_by: tuple[str, ...]) -> dict[tuple[str, ...], set[str]]:
    """Return the keys whose values differ, for each group of flat settings. A missing key counts as None."""
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    varying: dict[tuple[str, ...], set[str]] = {}
    for each in flat:
        group = tuple(each[key] for key in group_by)
        known, found = first.setdefault(group, each), varying.setdefault(group, set())
        found |= {key for key in {*known, *each} - found if known.get(key) != each.get(key)}
    return varying


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with dotted keys instead of nested dicts."""
    flat = {key: settings[key] for key in PLAIN_SETTINGS} | {"augment": augment_name(settings["augment"])}
    for group in ("model_options", "optimizer", "scheduler", "config"):
        for key, value in (settings[group] or {}).items():
            if isinstance(value, dict):
                flat |= {f"{group}.{key}.{inner}": item for inner, item in value.items()}
            else:
                flat[f"{group}.{key}"] = value
    split = {"split": settings["split"]} if "split" in settings else {}
    return flat | split | {"data_fingerprint": settings["data_fingerprint"]}


def label_word(key: str, value: object) -> str:
    """Return a setting as it appears in a label."""
    if key == "data":
        return str(value)
    name = key.removesuffix(".name").removeprefix("model_options.").removeprefix("config.")
    if key == "data_fingerprint":
        return f"images={str(value)[:6]}"
    return f"{name}={setting_text(value)}"


def setting_text(value: object) -> str:
    """Return the value of a setting as it is typed on the command line."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, separators=(",", ":")).strip('"')
