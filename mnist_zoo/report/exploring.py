"""The data that the scripts of the HTML page explore: configurations, runs, their settings, curves and errors."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mnist_zoo.errors import printable
from mnist_zoo.plots.style import LINES, MARKERS, drawn_as, duration
from mnist_zoo.report.reading import flatten
from mnist_zoo.report.summary import command, short_names, training_state
from mnist_zoo.report.testsets import TestSet, by_validation
from mnist_zoo.runs import CURVE_COLUMNS

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

FACTS = (
    "validation accuracy",
    "test accuracy",
    "test loss",
    "best epoch",
    "training time",
    "training",
    "device",
    "date",
)  # of a run, as texts
CURVES = ("train_loss", "val_loss", "train_acc", "val_acc", "lr")  # columns of curves.csv on the page
MOST_VALUES = 6  # of a setting of the other configurations
DIGITS = 5  # significant ones of each number
# Key in a row of `compare`, title, unit, factor, and whether a logarithmic axis shows it best.
COLUMNS = (
    ("val_acc", "validation accuracy", "%", 100, False),
    ("test_acc", "test accuracy", "%", 100, False),
    ("train_acc", "training accuracy", "%", 100, False),
    ("val_loss", "validation loss", "nats", 1, True),
    ("test_loss", "test loss", "nats", 1, True),
    ("train_loss", "training loss", "nats", 1, True),
    ("lr", "learning rate", "", 1, True),
    ("num_params", "parameters", "", 1, True),
    ("flops", "FLOP an image", "", 1, True),
    ("megabytes", "size", "MB", 1, True),
    ("fit_seconds", "training time", "s", 1, True),
    ("images_per_second", "training images per second", "", 1, True),
    ("epochs", "epochs", "", 1, False),
    ("epochs_to_98", "epochs to 98 %", "", 1, False),
    ("epochs_to_99", "epochs to 99 %", "", 1, False),
    ("ece", "ECE", "%", 100, False),
    ("brier", "Brier score", "", 1, False),
    ("seed_sd", "standard deviation over seeds of the test accuracy", "percentage points", 100, False),
    ("n", "seeds", "", 1, False),
)


def page_data(sets: Sequence[TestSet]) -> dict[str, Any]:
    """Return what the scripts need, as numbers, texts, lists and objects.

    ``sets``: name of each data set, its number of test images of each class, and the test images that some run gets
    wrong with their true classes. ``columns``: of configurations. ``configurations``: label, set, look, values with
    half their 95 % intervals, and settings that vary: name, value, and those of the others. ``shared``: the settings
    that do not. ``runs``: name, configuration, seed, facts, command, curves and errors: image (its place in the list of
    the set), predicted class and confidence in per cent, one after the other.
    """
    table = pd.concat([each.table for each in sets], ignore_index=True)
    flat = {own: flatten(json.loads(own)) for own in table["settings"].unique()}
    keys = list(dict.fromkeys(key for own in flat.values() for key in own))
    texts = {own: {key: setting(values[key]) if key in values else "-" for key in keys} for own, values in flat.items()}
    varying = [key for key in keys if len({own[key] for own in texts.values()}) > 1]
    measured = [name for name in map(str, table) if "_acc_" in name or name.startswith("ood_auroc")]
    data: dict[str, Any] = {
        "columns": _columns(varying, flat, measured),
        "shared": {printable(key): next(iter(texts.values()))[key] for key in keys if key not in varying},
        "facts": FACTS,
        "curves": CURVES,
        "sets": [],
        "configurations": [],
        "runs": [],
    }
    looks = drawn_as(by_validation(table))
    names = dict(zip(table["folder"], short_names(table["folder"]), strict=True))
    for place, each in enumerate(sets):
        own_errors = _errors(each)
        counts = np.bincount(each.labels, minlength=each.classes).tolist()
        data["sets"].append({"name": printable(each.name), "counts": counts, "images": own_errors[0]})
        rows = each.rows.join(each.table.groupby("label")[["ece", "brier", *measured]].mean(), on="label")
        first = len(data["configurations"])
        for row in rows.to_dict("records"):
            settings = each.table.loc[each.table["label"] == row["label"], "settings"].iloc[0]
            values, halves = _values(row, flat[settings], data["columns"])
            data["configurations"].append(
                {
                    "label": printable(row["label"]),
                    "set": place,
                    "look": svg_look(*looks[row["label"]]),
                    "values": values,
                    "halves": halves,
                    "settings": [[printable(key), texts[settings][key]] for key in varying],
                }
            )
        order = {label: first + number for number, label in enumerate(rows["label"])}
        for (_, run), errors in zip(each.table.iterrows(), own_errors[1], strict=True):
            data["runs"].append(_run(run, names[run["folder"]], order[run["label"]], errors))
    _add_others(data["configurations"])
    return data


def _add_others(configurations: Sequence[dict[str, Any]]) -> None:
    """Add to each setting that varies how many of the other configurations have which value."""
    for place in range(len(configurations[0]["settings"])):
        counts = Counter(own["settings"][place][1] for own in configurations)
        for own in configurations:
            others = (counts - Counter([own["settings"][place][1]])).most_common()
            words = [f"{value} ({count})" for value, count in others[:MOST_VALUES]]
            more = [f"and {len(others) - MOST_VALUES} more"] if len(others) > MOST_VALUES else []
            own["settings"][place].append(", ".join(words + more))


def setting(value: object) -> str:
    """Return the value of a setting as a text: ``0.001``, ``adam``, ``[120,84]``, ``none``."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return printable(value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))


def _columns(varying: Sequence[str], flat: dict[str, dict], measured: Sequence[str]) -> list[dict[str, Any]]:
    """Return the columns of configurations: those of the comparison, numeric settings that vary, and measurements."""
    found = [dict(zip(("key", "title", "unit", "factor", "log"), each, strict=True)) for each in COLUMNS]
    known = {each["key"] for each in found}
    numeric = [key for key in varying if key not in known and all(_is_number(own.get(key)) for own in flat.values())]
    found += [
        {"key": f"setting {key}", "title": printable(key), "unit": "", "factor": 1, "log": False} for key in numeric
    ]
    percent = {"unit": "%", "factor": 100, "log": False}
    return found + [{"key": key, "title": printable(key).replace("_", " "), **percent} for key in measured]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _values(row: dict, settings: dict, columns: Sequence[dict]) -> tuple[list[float | None], list[float | None]]:
    """Return the value of each column, and half its interval."""
    values, halves = [], []
    for column in columns:
        key, factor = column["key"], column["factor"]
        value = settings.get(key.removeprefix("setting ")) if key.startswith("setting ") else row.get(key)
        values.append(number(value, factor))
        halves.append(number(row.get(f"{key}_half"), factor))
    return values, halves


def number(value: Any, factor: float = 1) -> float | None:
    """Return a number with `DIGITS` significant digits as JSON has it; None for NaN, infinity and what is no number."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not math.isfinite(value):
        return None
    short = float(f"{float(value) * factor:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def svg_look(colour: str, line: LineStyleType, marker: object) -> list[str]:
    """Return colour, dashes of an SVG line and marker of what matplotlib draws with these; a circle for no marker."""
    dashes = dict(zip(LINES, ("", "6 3", "2 3", "7 3 2 3"), strict=True))
    return [colour, dashes.get(line, ""), str(marker) if marker in MARKERS else MARKERS[0]]


def _run(run: pd.Series, name: str, configuration: int, errors: list[int]) -> dict[str, Any]:
    curves = [[number(value) for value in run["curves"][:, CURVE_COLUMNS.index(column)]] for column in CURVES]
    return {
        "name": printable(name),
        "c": configuration,
        "seed": int(run["seed"]),
        "facts": _facts(run),
        "command": printable(command(run["overrides"])),
        "curves": curves,
        "errors": errors,
    }


def _facts(run: pd.Series) -> list[str]:
    """Return the texts of `FACTS`."""
    best, date = number(run.get("best_epoch")), run.get("date")
    return [
        f"{100 * run['val_acc']:.2f} %",
        f"{100 * run['test_acc']:.2f} %",
        f"{run['test_loss']:.4f} nats",
        "-" if best is None else f"{best} of {number(run['epochs_run'])}",
        duration(run["fit_seconds"]),
        training_state(run["curves"]) or "-",
        printable(run["device"]),
        printable(date) if isinstance(date, str) else "-",
    ]


def _errors(runs: TestSet) -> tuple[list[list[int]], list[list[int]]]:
    """Return the images that some run gets wrong (see `missed`) with their true classes, and the errors of each run."""
    wrong, images = ~runs.correct, runs.missed
    place = np.zeros(wrong.shape[1], int)
    place[images] = np.arange(len(images))
    found = []
    for row, confidence in enumerate(runs.table["confidence"]):
        own = np.flatnonzero(wrong[row])
        found.append(np.stack([place[own], runs.predicted[row, own], confidence[own]], axis=1).ravel().tolist())
    return [images.tolist(), runs.labels[images].tolist()], found
