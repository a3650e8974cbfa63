"""Published numbers, and verdicts on how ours compare with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.report.reading import augment_name
from mnist_zoo.report.statistics import (
    WIDE,
    accuracy_words,
    macro_f1,
    mean_interval,
    plus_minus,
    single_run_half_width,
    wilson_interval,
)
from mnist_zoo.runs.identity import is_neutral

PRECISION = ("trainer.precision", "trainer.matmul_precision")  # allowed, but named in the verdict
DEVICES = ("trainer=auto", "trainer=cpu", "trainer=cuda", "trainer=ddp")
IN_PERCENT = ("acc", "f1", "precision", "recall")  # published in per cent, measured as fractions
OUTCOMES = ("not comparable", "not resolved", "inside", "above", "below")


@dataclass(frozen=True)
class Row:
    """One published number.

    Attributes:
        experiment: of the zoo (the paper).
        model, data, lr, augment: what the number belongs to; `lr` is None if the paper does not state it.
        metric: name of the metric.
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


@cache
def published_rows() -> tuple[Row, ...]:
    """Return the published numbers that belong to a model of the zoo (from ``published.csv`` beside this module)."""
    with (Path(__file__).parent / "published.csv").open(newline="") as file:
        return tuple(_row(fields) for fields in csv.DictReader(file) if fields["zoo_model"])


def _row(fields: dict[str, str]) -> Row:
    overrides = dict(word.split("=", 1) for word in fields["zoo_overrides"].split())
    decimals = len(fields["value"].partition(".")[2])
    return Row(
        experiment=fields["paper"],
        model=fields["zoo_model"],
        data=fields["dataset"],
        lr=float(fields["lr"]) if fields["lr"] else None,
        metric=fields["metric"],
        value=float(fields["value"]),
        half_unit=0.5 * 10.0**-decimals if fields["unit"] in ("%", "nats") else 0.0,
        unit=fields["unit"],
        note=fields["note"],
        augment=overrides.pop("augment", "none"),
        options=tuple((key.removeprefix("model."), value) for key, value in overrides.items()),
    )


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
    if row.metric == "claimed_acc":
        if "in truth" in row.note:
            return "the thesis prints a running training accuracy as its result"
        return "the thesis does not say of which images"
    if row.metric == "train_seconds":
        return f"other hardware: ours is {run['device']}"
    if run["data"] != row.data:
        return f"trained and tested on {run['data']}, not on {row.data}"
    if run["experiment"] is None:
        return f"not run with experiment={row.experiment}"
    constrained = ("seed", "model", "data", "lr" if row.lr else "", *(f"model.{key}" for key, _ in row.options))
    for override in run["overrides"]:
        key = override.lstrip("+~").partition("=")[0]
        if is_neutral(override) or key in (*constrained, *PRECISION) or override in DEVICES:
            continue
        return f"run with {override}"
    return None


def measured(metric: str, runs: pd.DataFrame) -> np.ndarray | None:
    """Return a published metric of each of our runs, in the published unit; None if we do not measure it."""
    if metric == "claimed_acc":
        metric = "train_acc"
    column = {"epochs": "epochs_run", "train_seconds": "fit_seconds"}.get(metric, metric)
    if column in runs:
        values = runs[column].to_numpy(dtype=float)
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
        case ["precision" | "recall" as score, "digit", digit]:
            return lambda labels, predicted: _digit_score(score, labels == int(digit), predicted == int(digit))
        case ["confusions", true, "as", wrong]:
            return lambda labels, predicted: int(((labels == int(true)) & (predicted == int(wrong))).sum())
    return None


def _digit_score(score: str, positive: np.ndarray, predicted: np.ndarray) -> float:
    """Return precision or recall, 0 if there is no image to compute it from."""
    chosen = predicted if score == "precision" else positive
    return float((positive & predicted).sum() / max(chosen.sum(), 1))


@dataclass(frozen=True)
class Verdict:
    """Comparison of one of our configurations with a published number; all numbers are in its unit.

    Attributes:
        label: of the configuration.
        row: the published number.
        mean, half: of our seeds, and half the 95 % interval of the mean (NaN for one seed).
        least, greatest: range over our seeds.
        words: the verdict as a table shows it.
    """

    label: str
    row: Row
    mean: float
    half: float
    least: float
    greatest: float
    words: str

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
        return next(outcome for outcome in OUTCOMES if outcome in self.words)

    @property
    def ours(self) -> str:
        """Our number as a table shows it."""
        if self.row.unit == "%":
            return accuracy_words(self.mean, self.half, self.least, self.greatest)
        return plus_minus(self.mean, self.half, 4 if self.row.unit == "nats" else 2)

    @property
    def difference(self) -> float:
        """Our mean minus the published number."""
        return self.mean - self.row.value


def judge(row: Row, runs: pd.DataFrame) -> Verdict | None:
    """Compare the runs of one configuration with a published number; None if we do not measure its metric.

    The published number is inside if our 95 % interval of the mean over seeds overlaps its rounding range. For one
    seed, an accuracy is judged by its interval for random test images instead, and the verdict says so. If some seeds
    learn and others fail, the interval is too wide to resolve anything.
    """
    values = measured(row.metric, runs)
    if values is None:
        return None
    mean, half = mean_interval(values)
    words = _verdict_words(row, runs, values, mean, half)
    if precision := sorted({o for asked in runs["overrides"] for o in asked if o.partition("=")[0] in PRECISION}):
        words += f"; {', '.join(precision)}"
    return Verdict(runs["label"].iloc[0], row, mean, half, values.min(), values.max(), words)


def _verdict_words(row: Row, runs: pd.DataFrame, values: np.ndarray, mean: float, half: float) -> str:
    reason = next((why for _, run in runs.iterrows() if (why := why_not_comparable(row, run))), None)
    if reason:
        return f"not comparable: {reason}"
    if row.unit == "%" and half > WIDE:
        return "not resolved: our seeds are too far apart"
    low, high, basis = mean - half, mean + half, ""
    if len(values) == 1:
        split = row.metric.partition("_")[0]
        if not row.metric.endswith("_acc"):
            return "not comparable: one seed, no interval"
        images = int(runs[f"n_{split}"].iloc[0])
        low, high = (100 * bound for bound in wilson_interval(round(mean / 100 * images), images))
        basis = " (one seed: interval of drawing the images)"
    if low <= row.value + row.half_unit and high >= row.value - row.half_unit:
        return f"inside our interval{basis}"
    if len(values) > 1 and abs(mean - row.value) - row.half_unit <= single_run_half_width(values):
        basis = ", within what single runs vary"
    return ("ours is above" if mean > row.value else "ours is below") + basis
