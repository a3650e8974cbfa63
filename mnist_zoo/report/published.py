"""Published numbers, and what of ours each one is to be compared with."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.report.reading import augment_name
from mnist_zoo.report.statistics import macro_f1
from mnist_zoo.runs import CURVE_COLUMNS
from mnist_zoo.runs.identity import is_neutral

PRECISION = ("trainer.precision", "trainer.matmul_precision")  # allowed, but named in the verdict
DEVICES = ("trainer=auto", "trainer=cpu", "trainer=cuda", "trainer=ddp")
IN_PERCENT = ("acc", "f1", "precision", "recall")  # published in per cent, measured as fractions
RELATED = "related"  # numbers that the papers cite: compared with the library's defaults, runs of no experiment
FITTED = ("architectures_diagnosis",)  # experiments whose settings were chosen to give the published numbers
# Metrics of curves.csv: the column, and how its epochs become one number.
OF_CURVES: dict[str, tuple[str, Callable[[list[float]], float]]] = {
    "best_val_acc": ("val_acc", max),
    "best_running_train_acc": ("train_acc", max),
    "last_running_train_acc": ("train_acc", lambda epochs: epochs[-1]),
}


@dataclass(frozen=True)
class Row:
    """One published number.

    Attributes:
        experiment: of the zoo (the paper).
        model, data, lr, augment: what the number belongs to; `lr` is None if the paper does not state it.
        metric: name of the metric.
        ours: name of the metric of ours that it is to be compared with.
        value, unit: the number; the unit is ``%``, ``nats`` or another word.
        half_unit: largest rounding error of `value`.
        note: a remark, or empty.
        options: of the model, as ``(name, value as JSON)``.
    """

    experiment: str
    model: str
    data: str
    lr: float | None
    metric: str
    ours: str
    value: float
    half_unit: float
    unit: str
    note: str
    augment: str
    options: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The model and its settings, as a table shows them."""
        words = [self.model, "" if self.augment == "none" else f"augment={self.augment}"]
        words += [f"lr={self.lr:g}" if self.lr else "", *(f"{key}={value}" for key, value in self.options)]
        return " ".join(word for word in words if word)


_FURTHER: list[Row] = []  # of users
COLUMNS = ("paper", "dataset", "lr", "metric", "value", "unit", "note", "zoo_model", "zoo_overrides", "ours")


@cache
def _of_papers() -> tuple[Row, ...]:
    """Return those of ``published.csv`` beside this module."""
    with (Path(__file__).parent / "published.csv").open(newline="") as file:
        return tuple(_row(fields) for fields in csv.DictReader(file) if fields["zoo_model"])


def published_rows() -> tuple[Row, ...]:
    """Return the published numbers that belong to a model of the zoo: those of the papers, and then those of users."""
    return (*_of_papers(), *_FURTHER)


def add_published(path: Path) -> None:
    """Add the numbers of a CSV file with the columns `COLUMNS` to those that reports compare runs with.

    Raises:
        InputError: if the file cannot be read; the message names the line.
    """
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} lacks the column {missing[0]}: it needs {', '.join(COLUMNS)}")
            for fields in reader:
                _FURTHER.append(_checked_row(path, reader.line_num, fields))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}") from error


def _checked_row(path: Path, line: int, fields: dict[str, str]) -> Row:
    """Return the number of a line. Raises InputError for an invalid line."""
    if None in fields or None in fields.values():
        raise InputError(f"{path}, line {line}: it must have as many columns as the first line")
    if not fields["zoo_model"].strip() or not fields["metric"].strip():
        raise InputError(f"{path}, line {line}: zoo_model and metric must not be empty")
    for key in ("value", "lr"):
        try:
            number = float(fields[key]) if fields[key] or key == "value" else 0.0
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{path}, line {line}: {key}={fields[key]!r}: it must be a number")
    if not all("=" in word for word in fields["zoo_overrides"].split()):
        raise InputError(f"{path}, line {line}: zoo_overrides must be words such as model.dense=96")
    return _row(fields)


def _row(fields: dict[str, str]) -> Row:
    overrides = dict(word.split("=", 1) for word in fields["zoo_overrides"].split())
    decimals, metric = len(fields["value"].partition(".")[2]), fields["metric"]
    return Row(
        experiment=fields["paper"],
        model=fields["zoo_model"],
        data=fields["dataset"],
        lr=float(fields["lr"]) if fields["lr"] else None,
        metric=metric,
        ours=fields["ours"] or {"epochs": "epochs_run", "train_seconds": "fit_seconds"}.get(metric, metric),
        value=float(fields["value"]),
        half_unit=0.5 * 10.0**-decimals if fields["unit"] in ("%", "nats") else 0.0,
        unit=fields["unit"],
        note=fields["note"],
        augment=_augment(overrides),
        options=tuple((key.removeprefix("model."), value) for key, value in overrides.items()),
    )


def _augment(overrides: dict[str, str]) -> str:
    """Take the augmentation out of overrides and return its name."""
    single = {key: json.loads(overrides.pop(key)) for key in [*overrides] if key.startswith("augment.")}
    return overrides.pop("augment", None) or augment_name({key.removeprefix("augment."): single[key] for key in single})


def rows_of(run: pd.Series) -> list[Row]:
    """Return the published numbers to compare a run with: those of its experiment, or of all if it has none.

    Args:
        run: a row of `Runs`.
    """
    augment = augment_name(run["augment"])
    return [row for row in published_rows() if _same(row, run, augment)]


def _same(row: Row, run: pd.Series, augment: str) -> bool:
    if row.model != run["model"] or row.augment != augment or run["experiment"] not in (None, row.experiment):
        return False
    # Runs on another set of digits are listed with the papers' numbers for MNIST; the verdict names the difference.
    data = run["data"] if run["data"] == "fashion_mnist" else "mnist"
    options = run["model_options"] if isinstance(run["model_options"], dict) else {}
    same_options = all(_scalar(options.get(key)) == _scalar(json.loads(value)) for key, value in row.options)
    return row.data == data and (row.lr in (None, run["lr"])) and same_options


def _scalar(value: object) -> object:
    """Return the element of a list of one, since ``hidden=128`` and ``hidden=[128]`` mean the same."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def why_not_comparable(row: Row, run: pd.Series) -> str | None:
    """Return the reason why a run does not repeat the published one, or None if it does."""
    if row.metric == "claimed_acc" and "in truth" not in row.note:
        return "the thesis does not say of which images"
    if row.metric == "range_acc":
        return "the paper gives a range for several methods together"
    if row.metric == "fgsm_acc":
        return f"the paper does not state epsilon; ours is {row.ours.removeprefix('fgsm_acc_')}"
    if row.metric == "loss":
        return "the paper does not say of which images"
    if row.experiment in FITTED:
        return "settings fitted to this number"
    if row.metric == "train_seconds":
        return f"other hardware: ours is {run['device']}"
    if run["data"] != row.data:
        return f"trained and tested on {run['data']}, not on {row.data}"
    if row.experiment != (run["experiment"] or RELATED):
        return f"not run with experiment={row.experiment}"
    constrained = (
        "seed",
        "data.split_seed",
        "model",
        "data",
        "augment.mask",
        "lr" if row.lr else "",
        *(f"model.{key}" for key, _ in row.options),
    )
    for override in run["overrides"]:
        key = override.lstrip("+~").partition("=")[0]
        if is_neutral(override) or key in (*constrained, *PRECISION) or override in DEVICES:
            continue
        return f"run with {override}"
    return None


def measured(metric: str, runs: pd.DataFrame) -> np.ndarray | None:
    """Return a metric of each of our runs that has it, in the published unit; None if none has.

    Args:
        metric: ``ours`` of a `Row`.
        runs: rows of `Runs`, or of a table of results, which has such metrics as columns instead of run folders.
    """
    if metric in runs:
        values = pd.to_numeric(runs[metric], errors="coerce").dropna().to_numpy(dtype=float)
        if not len(values):
            return None
    elif "predicted" not in runs:
        return None
    elif metric in OF_CURVES:
        column, reduce = OF_CURVES[metric]
        kept = [curves[:, CURVE_COLUMNS.index(column)] for curves in runs["curves"] if len(curves)]
        if not kept:  # classical models
            return None
        values = np.array([reduce(each) for each in kept], dtype=float)
    else:
        score = _prediction_metric(metric)
        if score is None:
            return None
        values = np.array([score(*pair) for pair in zip(runs["labels"], runs["predicted"], strict=True)], dtype=float)
    return values * 100 if any(word in metric for word in IN_PERCENT) else values


def _prediction_metric(metric: str) -> Callable[[np.ndarray, np.ndarray], float] | None:
    """Return the function of labels and predicted classes for a name such as ``recall_digit_7``, or None."""
    words = metric.split("_")
    match words:
        case ["test", "macro", "f1"]:
            return macro_f1
        case ["precision" | "recall" as score, "digit", digit] if digit.isdecimal():
            return lambda labels, predicted: _digit_score(score, labels == int(digit), predicted == int(digit))
        case ["confusions", true, "as", wrong] if true.isdecimal() and wrong.isdecimal():
            return lambda labels, predicted: int(((labels == int(true)) & (predicted == int(wrong))).sum())
    return None


def _digit_score(score: str, positive: np.ndarray, predicted: np.ndarray) -> float:
    """Return precision or recall, 0 if there is no image to compute it from."""
    chosen = predicted if score == "precision" else positive
    return float((positive & predicted).sum() / max(chosen.sum(), 1))
