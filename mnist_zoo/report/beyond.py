"""The sections of the report on corruptions, on images of no class and on calibration, as they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import Calibration
from mnist_zoo.plots import beyond as plots
from mnist_zoo.plots.reliability import reliability
from mnist_zoo.report.figures import PANELS
from mnist_zoo.report.measurements import Group, groups_of
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import accuracy_words, mean_interval, plus_minus
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import DamagedFile, read_arrays

SHOWN = 4  # configurations in a plot of curves
# key, name, factor and digits of the columns on probabilities
COLUMNS = (("nll", "NLL", 1, 4), ("brier", "Brier", 1, 4), ("ece", "ECE (%)", 100, 2))
SCORES = {
    "max_probability": "maximum probability",
    "energy": "energy",
    "entropy": "entropy",
    "disagreement": "disagreement",
}


def beyond_sections(runs: TestSet) -> list[Section]:
    """Return the sections on what was measured of runs on the same images; none if nothing was."""
    found = []
    for title, test, make in (
        ("Corruptions", "corruptions", _corruptions),
        ("Images of no class", "ood", _strangers),
        ("Calibration", "calibration", _calibration),
    ):
        blocks = [block for group in groups_of(runs.measured, test) for block in make(group)]
        found += [Section(title, blocks)] if blocks else []
    return found


def _members(group: Group) -> dict[str, list[Mapping[str, Any]]]:
    """Return the values of the runs of each configuration."""
    members: dict[str, list[Mapping[str, Any]]] = {}
    for label, values in zip(group.runs["label"], group.values, strict=True):
        members.setdefault(label, []).append(values)
    return members


def _per_cent(values: Sequence[float]) -> str:
    """Return the mean of accuracies (fractions) in per cent, with its interval."""
    numbers = 100 * np.asarray(values)
    return accuracy_words(*mean_interval(numbers), numbers.min(), numbers.max())


def _mean(values: Sequence[float], digits: int) -> str:
    return plus_minus(*mean_interval(values), digits)


def _arrays(group: Group, row: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return arrays of the measurement of a run in a group; empty if its file is damaged."""
    run, values = group.runs.iloc[row], group.values[row]
    key = next(key for key, each in run["evaluation"].items() if each["values"] is values)
    try:
        return read_arrays(Path(run["folder"]), key, names)
    except DamagedFile:
        return {}


def _seeds(group: Group) -> str:
    return f"{group.images:,} test images; means over seeds with their 95 % intervals (Student's t)"


# -- corruptions ------------------------------------------------------------------------------------------------------


def _corruptions(group: Group) -> list[Block]:
    names, members = list(group.settings["names"]), _members(group)
    means = {label: np.mean([each["accuracy"] for each in values], axis=0) for label, values in members.items()}
    rows = [
        {
            "configuration": label,
            "seeds": len(values),
            "clean": _per_cent([each["clean"] for each in values]),
            "mean": _per_cent([each["mean"] for each in values]),
            "worst": ", ".join(
                f"{names[place].replace('_', ' ')} {100 * means[label][place]:.1f}"
                for place in np.argsort(means[label], kind="stable")[:3]
            ),
        }
        for label, values in members.items()
    ]
    raw = pd.DataFrame(
        [
            {"configuration": run.label, "seed": run.seed, "images": group.images, "clean": values["clean"]}
            | {"mean": values["mean"]}
            | dict(zip(values["names"], values["accuracy"], strict=True))
            for run, values in zip(group.runs.itertuples(), group.values, strict=True)
        ]
    )
    caption = f"Accuracy (%) under the corruptions of MNIST-C (Mu and Gilmer 2019) on {_seeds(group)}."
    shown = dict(list(means.items())[:PANELS])
    pictures = _arrays(group, 0, ["pictures"]).get("pictures")
    drawn = None
    if pictures is not None and pictures.dtype == np.uint8 and pictures.ndim == 5 and len(pictures) == len(names):
        drawn = plots.corrupted_images(pictures, names)
    return [
        Block("table", pd.DataFrame(rows), caption, "corruptions", raw, folded=len(rows) > OPEN_ROWS),
        *figure_block("corruptions", plots.corruption_accuracies(shown, names), "Accuracy (%) under each corruption."),
        *figure_block("corrupted", drawn, "The first test images under each corruption."),
    ]


# -- images of no class -----------------------------------------------------------------------------------------------


def _strangers(group: Group) -> list[Block]:
    rows = []
    for label, values in _members(group).items():
        for score, name in SCORES.items():
            if not all(score in each["mean"] for each in values):
                continue
            kinds = [kind for kind in values[0]["sets"] if all(kind in each["sets"] for each in values)]
            areas = {kind: [each["sets"][kind][score]["auroc"] for each in values] for kind in kinds}
            cells = {kind.replace("_", " "): _mean(each, 4) for kind, each in areas.items()}
            mean = {
                "mean AUROC": _mean([each["mean"][score]["auroc"] for each in values], 4),
                "mean FPR95 (%)": _per_cent([each["mean"][score]["fpr95"] for each in values]),
            }
            rows.append({"configuration": label, "score": name, "seeds": len(values)} | cells | mean)
    raw = pd.DataFrame(
        [
            {"configuration": run.label, "seed": run.seed, "kind": kind, "score": score, **pair}
            for run, values in zip(group.runs.itertuples(), group.values, strict=True)
            for kind, scores in values["sets"].items()
            for score, pair in scores.items()
        ]
    )
    caption = (
        "How well a score of certainty tells test images from images of no class: AUROC for each kind of them, and "
        f"the share of them above the threshold that accepts 95 % of the test images. On {_seeds(group)}."
    )
    frame = pd.DataFrame(rows).fillna("-")
    return [Block("table", frame, caption, "strangers", raw, folded=len(rows) > OPEN_ROWS)]


# -- calibration ------------------------------------------------------------------------------------------------------


def _calibration(group: Group) -> list[Block]:
    members = _members(group)
    coverages = group.values[0]["coverage"]
    rows = [
        {
            "configuration": label,
            "seeds": len(values),
            **{
                f"{name} {how}": _mean([factor * each[how][key] for each in values], digits)
                for key, name, factor, digits in COLUMNS
                for how in ("plain", "scaled")
            },
            "temperature": _mean([each["temperature"] for each in values], 2),
            **{
                f"accuracy at {100 * share:g} %": _per_cent([each["accuracy"][place] for each in values])
                for place, share in enumerate(coverages)
                if share in (1.0, 0.95, 0.9)
            },
            "area": _mean([each["area"] for each in values], 5),
        }
        for label, values in members.items()
    ]
    raw = pd.DataFrame(
        [
            {"configuration": run.label, "seed": run.seed, "temperature": values["temperature"], "area": values["area"]}
            | {f"{key}_{how}": values[how][key] for how in ("plain", "scaled") for key in ("nll", "brier", "ece")}
            | {f"accuracy_{share:g}": accuracy for share, accuracy in zip(coverages, values["accuracy"], strict=True)}
            for run, values in zip(group.runs.itertuples(), group.values, strict=True)
        ]
    )
    caption = (
        "Probabilities as they are (plain) and with a temperature that was fitted on the validation images (scaled; "
        "Guo et al. 2017). Accuracy at 95 %: on the 95 % of the test images of which the network is most certain. "
        f"Area: mean accuracy over all coverages. On {_seeds(group)}."
    )
    first, values = f"{group.runs['label'].iloc[0]} seed={group.runs['seed'].iloc[0]}", group.values[0]
    diagram = reliability(
        {f"{first}, plain": _bins(values["plain"]), f"T = {values['temperature']:.2f}": _bins(values["scaled"])}
    )
    some = f" Shown are {SHOWN} of {len(members)} configurations." if len(members) > SHOWN else ""
    rejected = f"Accuracy if the least certain test images are rejected: the first seed of each configuration.{some}"
    return [
        Block("table", pd.DataFrame(rows), caption, "calibration", raw, folded=len(rows) > OPEN_ROWS),
        *figure_block("temperature", diagram, f"Reliability of {first} without and with its temperature."),
        *figure_block("coverage", _coverage(group), rejected),
    ]


def _coverage(group: Group) -> Any:
    """Return the plot of accuracy against coverage of the first run of some configurations; None without arrays."""
    curves: dict[str, np.ndarray] = {}
    for row, label in enumerate(group.runs["label"]):
        if label not in curves and len(curves) < SHOWN:
            curve = _arrays(group, row, ["curve"]).get("curve")
            if curve is not None and curve.ndim == 1 and len(curve):
                curves[label] = curve
    return plots.coverage(curves) if curves else None


def _bins(values: Mapping[str, Any]) -> Calibration:
    confidence, accuracy, counts = (np.array(values[key]) for key in ("confidence", "accuracy", "counts"))
    return Calibration(confidence, accuracy, counts, values["ece"])
