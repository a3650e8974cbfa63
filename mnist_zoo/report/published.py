"""The papers' figures, and what may be said of ours beside them."""

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
    mean_interval,
    plus_minus,
    single_run_half_width,
    wilson_interval,
)
from mnist_zoo.runs import read_predictions

# Overrides that do not change what is compared.
NEUTRAL = ("experiment", "seed", "data.root", "sweep", "output_dir", "logger", "progress", "plugins", "debug", "resume")
PRECISION = ("trainer.precision", "trainer.matmul_precision")  # the verdict names it
DEVICES = ("trainer=auto", "trainer=cpu", "trainer=cuda", "trainer=ddp")
IN_PERCENT = ("acc", "f1", "precision", "recall")
OUTCOMES = ("not comparable", "not resolved", "inside", "above", "below")


@dataclass(frozen=True)
class Row:
    """One published number: `value` in `unit`, printed with `half_unit` of rounding either way."""

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
    options: tuple[tuple[str, str], ...]  # of the model: name, value as JSON

    @property
    def name(self) -> str:
        """How the row is called in a table."""
        words = [self.model, "" if self.augment == "none" else f"augment={self.augment}"]
        words += [f"lr={self.lr:g}" if self.lr else "", *(f"{key}={value}" for key, value in self.options)]
        return " ".join(word for word in words if word)


@cache
def published_rows() -> tuple[Row, ...]:
    """Return the published numbers that a model of the zoo reproduces (``published.csv`` beside this module)."""
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
    """Return the published numbers that a run stands beside: of its experiment, or of any if it was run outside one."""
    return [row for row in published_rows() if _same(row, run)]


def _same(row: Row, run: pd.Series) -> bool:
    if run["experiment"] not in (None, row.experiment):
        return False
    same_model = row.model == run["model"] and row.augment == augment_name(run["augment"])
    # Digits of another set stand beside the paper's digits, with a verdict that says so.
    data = run["data"] if run["data"] == "fashion_mnist" else "mnist"
    options = run["model_options"] if isinstance(run["model_options"], dict) else {}
    same_options = all(_unlisted(options.get(key)) == _unlisted(json.loads(value)) for key, value in row.options)
    return same_model and row.data == data and (row.lr in (None, run["lr"])) and same_options


def _unlisted(value):
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def why_not_comparable(row: Row, run: pd.Series) -> str | None:
    """Return what makes a run no repetition of the published one, or None."""
    if row.metric == "claimed_acc":
        return (
            "the thesis prints a running training accuracy as its result"
            if "in truth" in row.note
            else ("the thesis does not say of which images")
        )
    if row.metric == "train_seconds":
        return f"other hardware: ours is {run['device']}"
    if run["data"] != row.data:
        return f"trained and tested on {run['data']}, not on {row.data}"
    if run["experiment"] is None:
        return f"not run with experiment={row.experiment}"
    constrained = ("model", "data", "lr" if row.lr else "", *(f"model.{key}" for key, _ in row.options))
    for override in run["overrides"]:
        key = override.lstrip("+~").partition("=")[0]
        if key in (*constrained, *NEUTRAL, *PRECISION) or override in DEVICES or key.startswith("hydra"):
            continue
        return f"run with {override}"
    return None


def measured(metric: str, runs: pd.DataFrame) -> np.ndarray | None:
    """Return what a published metric is in our runs, one value a run, in the published unit; None if unknown."""
    if metric == "claimed_acc":
        metric = "train_acc"
    column = {"epochs": "epochs_run", "train_seconds": "fit_seconds"}.get(metric, metric)
    if column in runs:
        values = runs[column].to_numpy(dtype=float)
    else:
        score = _prediction_metric(metric)
        if score is None:
            return None
        values = np.array([score(**_test_predictions(folder)) for folder in runs["folder"]], dtype=float)
    return values * 100 if any(word in metric for word in IN_PERCENT) else values


def _test_predictions(folder: Path) -> dict[str, np.ndarray]:
    arrays = read_predictions(folder)
    return {"labels": arrays["labels"], "predicted": arrays["logits"].argmax(axis=1)}


def _prediction_metric(metric: str) -> Callable[..., float] | None:
    """Return the function of labels and predicted classes that a name such as ``recall_digit_7`` stands for."""
    from sklearn.metrics import f1_score, precision_score, recall_score

    words = metric.split("_")
    match words:
        case ["test", "macro", "f1"]:
            return lambda labels, predicted: f1_score(labels, predicted, average="macro", zero_division=0.0)
        case ["precision" | "recall", "digit", digit]:
            score = precision_score if words[0] == "precision" else recall_score
            return lambda labels, predicted: score(labels == int(digit), predicted == int(digit), zero_division=0.0)
        case ["confusions", true, "as", wrong]:
            return lambda labels, predicted: int(((labels == int(true)) & (predicted == int(wrong))).sum())
    return None


@dataclass(frozen=True)
class Verdict:
    """A configuration of ours beside a published number, all in its unit; `half` is NaN where there is one seed.

    Attributes:
        least, greatest: of the seeds.
        words: what may be said, in a table.
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
        """Our figure as a table shows it."""
        if self.row.unit == "%":
            return accuracy_words(self.mean, self.half, self.least, self.greatest)
        return plus_minus(self.mean, self.half, 4 if self.row.unit == "nats" else 2)

    @property
    def difference(self) -> float:
        """Ours minus theirs."""
        return self.mean - self.row.value


def judge(row: Row, runs: pd.DataFrame) -> Verdict | None:
    """Compare the runs of one configuration with a published number; None if we do not measure it.

    The number lies inside if our 95 % interval of the mean over seeds reaches its rounding. One seed has no such
    interval: an accuracy is then judged by the interval of drawing that many images, which the verdict says. Where some
    seeds learn and others fail the interval would cover anything: then nothing is resolved.
    """
    values = measured(row.metric, runs)
    if values is None:
        return None
    mean, half = mean_interval(values)
    precision = sorted({o for overrides in runs["overrides"] for o in overrides if o.partition("=")[0] in PRECISION})

    def verdict(words: str) -> Verdict:
        words += f"; {', '.join(precision)}" if precision else ""
        return Verdict(runs["label"].iloc[0], row, mean, half, values.min(), values.max(), words)

    reason = next((why for _, run in runs.iterrows() if (why := why_not_comparable(row, run))), None)
    if reason:
        return verdict(f"not comparable: {reason}")
    if row.unit == "%" and half > WIDE:
        return verdict("not resolved: our seeds are too far apart")
    low, high, basis = mean - half, mean + half, ""
    if len(values) == 1:
        split = row.metric.partition("_")[0]
        if not row.metric.endswith("_acc"):
            return verdict("not comparable: one seed, no interval")
        images = int(runs[f"n_{split}"].iloc[0])
        low, high = (100 * bound for bound in wilson_interval(round(mean / 100 * images), images))
        basis = " (one seed: interval of drawing the images)"
    if low <= row.value + row.half_unit and high >= row.value - row.half_unit:
        return verdict(f"inside our interval{basis}")
    words = "ours is above" if mean > row.value else "ours is below"
    if len(values) > 1 and abs(mean - row.value) - row.half_unit <= single_run_half_width(values):
        basis = ", within what single runs vary"
    return verdict(words + basis)
