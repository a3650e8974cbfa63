"""Rows of the results page: names of configurations that can be read, and the command of each row."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from mnist_zoo.report.published import DEVICES, PRECISION, RELATED, Row
from results.experiments import ZOO
from results.plan import PLAN, Planned

DATA = ("mnist", "mnist_31500")  # values of data= that are MNIST


def settings_of(overrides: Iterable[str]) -> list[str]:
    """Return the overrides that make a configuration, the model first."""
    kept = [word for word in overrides if word not in DEVICES]
    return sorted(kept, key=lambda word: (not word.startswith("model="), not word.startswith("data=")))


def names(table: pd.DataFrame) -> dict[str, str]:
    """Return a short name for each label of a table of results: what its command sets, without the data set.

    A precision is part of it only where it distinguishes; a configuration that has no distinct name keeps its label.
    """
    first = table.drop_duplicates("label")
    words = {str(label): settings_of(own) for label, own in zip(first["label"], first["overrides"], strict=True)}
    data = dict(zip(first["label"].astype(str), first["data"], strict=True))
    found: dict[str, str] = {}
    for left_out in (PRECISION, ()):
        short = {label: name_of(own, left_out) for label, own in words.items() if label not in found}
        count = Counter((name, data[label]) for label, name in short.items())
        found |= {label: name for label, name in short.items() if name and count[name, data[label]] == 1}
    return {label: found.get(label, label) for label in words}


def name_of(settings: Sequence[str], left_out: Iterable[str] = PRECISION) -> str:
    """Return a name for settings: without ``model=``, the data set, and the keys `left_out`."""
    shown = [word for word in settings if word.partition("=")[0] not in ("data", *left_out)]
    return " ".join(word.removeprefix("model=").removeprefix("model.") for word in shown)


def command(experiment: str, settings: Iterable[str], seeds: Iterable[int]) -> str:
    """Return the command that trains these seeds of a configuration."""
    chosen = [] if experiment in (ZOO, RELATED) else [f"experiment={experiment}"]
    words = [*chosen, *settings, f"seed={','.join(map(str, seeds))}"]
    return shlex.join(["python", "-m", "mnist_zoo", "-m", *words])


def planned_for(row: Row) -> Planned | None:
    """Return the planned configuration that a published number is to be compared with, or None."""
    for planned in PLAN:
        words = dict(word.split("=", 1) for word in planned.settings)
        data = words.pop("data", "mnist")
        same_data = data == row.data or (row.data == "mnist" and data in DATA)
        if planned.experiment != (ZOO if row.experiment == RELATED else row.experiment) or not same_data:
            continue
        rate = words.pop("lr", None)
        free = {"early_stop.monitor"}  # of architectures_diagnosis
        same_rate = rate is None or row.lr is None or float(rate) == row.lr
        if same_rate and {key: value for key, value in words.items() if key not in free} == _wanted(row):
            return planned
    return None


def _wanted(row: Row) -> dict[str, str]:
    """Return the settings of a published row as `PLAN` writes them, with the names of the command line's presets."""
    if row.augment == "affine":
        return {"model": f"{row.model}_augmented"}
    if row.experiment == "masking":
        return {"augment.mask": row.augment.partition("=")[2] or "0.0"}
    if row.experiment == "capsnet":  # one network, and shifts that the experiment sets
        return {f"model.{key}": value for key, value in row.options}
    if row.experiment == "keras_cnn":
        return {"model": "cnn_4" if "dense" in dict(row.options) else "cnn"}
    return {"model": row.model} | {f"model.{key}": value for key, value in row.options}


def command_for(row: Row, seeds: int = 3) -> str:
    """Return the command of a published number that was not run: as planned, or with the settings of its row."""
    planned = planned_for(row)
    if planned is not None:
        return command(planned.experiment, planned.settings, range(planned.seeds))
    settings = [f"model={row.model}", *([f"data={row.data}"] if row.data != "mnist" else [])]
    settings += [f"lr={row.lr:g}"] if row.lr else []
    single = "=" in row.augment  # single settings, not a preset
    settings += [f"augment{'.' if single else '='}{word}" for word in row.augment.split() if word != "none"]
    return command(row.experiment, [*settings, *(f"model.{key}={value}" for key, value in row.options)], range(seeds))
