"""The model card of a run (Mitchell et al. 2019): what it is, how it was made, what was measured, and its limits.

The ``.json`` files beside the weights in the package are records of those weights; this is a page for readers.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import BINS
from mnist_zoo.errors import InputError, printable
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.plots.images import confusion_matrix
from mnist_zoo.plots.style import duration, style
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.measurements import is_own
from mnist_zoo.report.networks import MOST_CLASSES
from mnist_zoo.report.reading import augment_name, read_runs
from mnist_zoo.report.tables import class_report, count_confusions, frequent_confusions
from mnist_zoo.report.writing import png
from mnist_zoo.runs.interval import interval_text
from mnist_zoo.splits import SPLITS

CARD, PICTURE = "model_card.md", "model_card.png"
TESTS = ("fgsm", "pgd", "square", "masking", "corruptions", "ood", "calibration")  # that a complete card has
ATTACKS = {"fgsm": "FGSM", "pgd": "PGD (L-inf)", "pgd_l2": "PGD (L2)", "square": "Square attack"}


def write_card(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write ``model_card.md`` and ``model_card.png``, the confusion matrix, and return the path of the former.

    Args:
        folder: a run folder. Only its files are read, no images.
        out: folder to write to; the run folder by default.

    Raises:
        InputError: if the folder does not hold one finished run.
        StorageError: if the card cannot be written.
    """
    table = read_runs([folder]).table
    if len(table) > 1:
        raise InputError(f"{folder} holds {len(table)} runs: name the folder of one, such as {table['folder'].iloc[0]}")
    run = table.iloc[0]
    if pd.isna(run["num_params"]):
        raise InputError(f"{folder} is a run of {run['model']}: a model card describes a network")
    place = Path(run["folder"] if out is None else out)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    for name in (CARD, PICTURE):
        if (place / name).is_symlink():
            raise InputError(f"{place / name} is a symbolic link: remove it, or choose another folder with --out DIR")
    names = [str(number) for number in range(run["classes"])]
    if run["classes"] <= MOST_CLASSES:
        with style():
            matrix = confusion_matrix(count_confusions(run["labels"], run["predicted"], run["classes"]), names)
            write_atomically(place / PICTURE, png(matrix))
    sections = (_head(run), _data(run), _recipe(run), _accuracy(run, names), _robustness(run), _calibration(run))
    lines = [line for section in (*sections, _limits(run, names), _repeat(run)) for line in section]
    write_atomically(place / CARD, "\n".join(printable(line) for line in lines) + "\n")
    return place / CARD


def _head(run: pd.Series) -> list[str]:
    return [
        f"# {escape(run['model'])} on {escape(run['data'])}, seed {run['seed']}",
        "",
        f"A classifier of images with {run['num_params']:,} parameters and {run['flops'] / 1e6:.2f} MFLOP an image, "
        f"trained with mnist_zoo {escape(run['versions'].get('mnist_zoo', '?'))}. This page was written by "
        "`python -m mnist_zoo.card`.",
        "",
    ]


def _data(run: pd.Series) -> list[str]:
    counts = ", ".join(
        f"{run[f'n_{split}']:,} {name}" for split, name in zip(SPLITS, ("training", "validation", "test"), strict=True)
    )
    scaled = (run["config"].get("data") or {}).get("normalize", True)
    return [
        "## Data",
        "",
        f"{escape(run['data'])}: {counts} images, {run['classes']} classes (fingerprint "
        + f"{escape(run['data_fingerprint'])}). "
        + ("Scaled to mean 0 and standard deviation 1 of the training images. " if scaled else "Scaled to 0-1. ")
        + f"Augmentation in training: {escape(augment_name(run['augment']))}.",
        "",
    ]


def _recipe(run: pd.Series) -> list[str]:
    settings = {
        "optimizer": run["optimizer"],
        "learning rate": f"{run['lr']:g}",
        "schedule": run["scheduler"],
        "batch size": run["batch_size"],
        "epochs": f"{run['epochs_run']} of {run['epochs']}, the best is {run.get('best_epoch', '?')}",
        "network": run["model_options"],
        **{key: value for key, value in run["config"].items() if key not in ("data", "trainer") and value is not None},
    }
    rows = [[escape(key), escape(_plain(value))] for key, value in settings.items()]
    trained = f"Trained in {duration(run['fit_seconds'])} on {escape(run['device'])}."
    return ["## Recipe", "", *markdown(["setting", "value"], rows), "", trained, ""]


def _plain(value: object) -> str:
    """Return a setting as text; a group of settings as its name and the others in brackets."""
    if not isinstance(value, Mapping):
        return json.dumps(value) if isinstance(value, (list, bool)) else str(value)
    rest = ", ".join(f"{key}={_plain(each)}" for key, each in value.items() if key != "name" and each is not None)
    return f"{value['name']} ({rest})" if "name" in value and rest else str(value.get("name", rest or "default"))


def _accuracy(run: pd.Series, names: list[str]) -> list[str]:
    rows = [
        [
            name,
            f"{run[f'n_{split}']:,}",
            f"{run[f'{split}_acc']:.4f}",
            interval_text(run[f"{split}_acc"], int(run[f"n_{split}"])),
            f"{run[f'{split}_loss']:.4f}",
        ]
        for split, name in zip(SPLITS, ("training", "validation", "test"), strict=True)
    ]
    tested = run.get("test_evaluations", 1)
    once = "once" if not tested > 1 else f"{tested:.0f} times, because training was continued after a test"
    lines = [
        "## Accuracy",
        "",
        *markdown(["split", "images", "accuracy", "95 % interval", "loss (nats)"], rows),
        "",
        f"The epoch was chosen on the validation images; the test images were evaluated {once}. Intervals (Wilson) say "
        "how exactly this many images determine the accuracy of this network; other seeds vary as well.",
        "",
    ]
    if run["classes"] <= MOST_CLASSES:
        lines += [f"![Confusion matrix on the test images: true class (row), predicted class (column).]({PICTURE})", ""]
    confusions = "; ".join(frequent_confusions(run["labels"], run["predicted"], names)) or "none"
    return [*lines, f"Most frequent confusions: {confusions}.", ""]


def _measured(run: pd.Series) -> dict[str, Mapping[str, Any]]:
    """Return the measurement of each test on the run's own test split, on the most images if there are several."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in sorted(run["evaluation"].values(), key=lambda each: each["images"]):
        if is_own(each, run["data_fingerprint"]) and each["settings"].get("split", "test") == "test":
            found[each["test"]] = each
    return found


def _how_to_measure(run: pd.Series, missing: list[str]) -> list[str]:
    """Return the lines that say what was not measured, and with which command it is."""
    if not missing:
        return []
    command = shlex.join(["python", "-m", "mnist_zoo.evaluate", str(run["folder"]), "--on", ",".join(missing)])
    return [f"Not measured: {', '.join(missing)}. Measure it, and write the card again:", "", f"    {command}", ""]


def _robustness(run: pd.Series) -> list[str]:
    measured = _measured(run)
    rows = []
    for test, each in measured.items():
        words = _result(test, each["values"])
        if words:
            rows.append([escape(test), f"{each['images']:,}", escape(words)])
    table = [*markdown(["test", "images", "result"], rows), ""] if rows else []
    missing = [test for test in TESTS if test not in measured and test != "calibration"]
    return ["## Robustness", "", *table, *_how_to_measure(run, missing)]


def _result(test: str, values: Mapping[str, Any]) -> str:
    """Return what a test found, in words; empty for tests that have no words here."""
    if test in ATTACKS or test == "masking":
        strengths, what = ("shares", "zeroed share") if test == "masking" else ("epsilons", "epsilon")
        pairs = zip(values[strengths], values["accuracy"], strict=True)
        words = f"{ATTACKS.get(test, 'masked input')}: " + ", ".join(
            f"{100 * accuracy:.2f} % at {what} {strength:g}" for strength, accuracy in pairs
        )
        signs = values.get("signs", ())
        return f"{words}; signs of masked gradients: {'; '.join(signs)}" if signs else words
    if test == "corruptions":
        worst = sorted(zip(values["accuracy"], values["names"], strict=True))[:3]
        return f"mean accuracy {100 * values['mean']:.2f} % (MNIST-C), worst: " + ", ".join(
            f"{name.replace('_', ' ')} {100 * accuracy:.2f} %" for accuracy, name in worst
        )
    if test == "ood":
        return f"AUROC against {', '.join(values['sets'])} (mean): " + ", ".join(
            f"{score.replace('_', ' ')} {pair['auroc']:.4f}" for score, pair in values["mean"].items()
        )
    return ""


def _calibration(run: pd.Series) -> list[str]:
    lines = [
        "## Calibration",
        "",
        f"On the test images: expected calibration error {100 * run['ece']:.2f} % in {BINS} bins (a perfectly "
        f"calibrated network with these probabilities would show {100 * run['perfect_ece']:.2f} %), Brier score "
        f"{run['brier']:.4f}.",
        "",
    ]
    measured = _measured(run).get("calibration")
    if measured is None:
        return [*lines, *_how_to_measure(run, ["calibration"])]
    values = measured["values"]
    kept = ", ".join(
        f"{100 * accuracy:.2f} % on the most certain {100 * share:g} %"
        for share, accuracy in zip(values["coverage"], values["accuracy"], strict=True)
    )
    plain, scaled = values["plain"], values["scaled"]
    return [
        *lines,
        f"With the temperature {values['temperature']:.3f}, fitted on the validation images, the calibration error is "
        f"{100 * scaled['ece']:.2f} % and the negative log-likelihood {scaled['nll']:.4f} instead of "
        f"{plain['nll']:.4f} nats ({measured['images']:,} images). Accuracy: {kept}.",
        "",
    ]


def _limits(run: pd.Series, names: list[str]) -> list[str]:
    classes = class_report(run["labels"], run["predicted"], names).head(run["classes"])
    worst = classes.iloc[int(np.argmin(classes["recall"].where(classes["images"] > 0, np.inf)))]
    lines = [
        "## Limits",
        "",
        f"- Every image gets one of the {run['classes']} classes, also an image of something else.",
        f"- The test images come from the same source as the training images ({escape(run['data'])}). On other images "
        "the accuracy may be much lower.",
        f"- The class with the lowest recall is {escape(worst['class'])}: {100 * worst['recall']:.2f} % of "
        f"{worst['images']:.0f} test images.",
        "- One seed was trained; the report over several seeds shows how much they vary.",
    ]
    attacked = next((each for test, each in _measured(run).items() if test in ATTACKS), None)
    if attacked is None:
        lines.append(
            "- Its accuracy under attack was not measured; that of networks trained without attacks is near 0."
        )
    return [*lines, ""]


def _repeat(run: pd.Series) -> list[str]:
    folder = str(run["folder"])
    words = [word for word in run["overrides"] if not word.startswith(("hydra", "sweep=", "output_dir=", "resume="))]
    commands = [shlex.join(["python", "-m", "mnist_zoo", *words])] if words else []
    unknown = [] if words else ["The run was started from Python: its settings are in the table above.", ""]
    commands.append(shlex.join(["python", "-m", "mnist_zoo.predict", folder, "IMAGES"]))
    commands.append(shlex.join(["python", "-m", "mnist_zoo.report", folder]))
    # Four spaces make code that no text can end.
    return ["## Commands", "", *unknown, *(f"    {printable(command)}" for command in commands), ""]
