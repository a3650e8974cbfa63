"""Run folders in, one pandas table out, with a line for each folder that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from mnist_zoo.errors import InputError
from mnist_zoo.runs import find_runs, read_json, read_metrics

REQUIRED = ["model", "data", "lr", "seed", "epochs_run", "num_params", "flops", "fit_seconds", "n_val", "n_test"]
REQUIRED += [f"{split}_{metric}" for split in ("train", "val", "test") for metric in ("acc", "loss")]
# What makes two runs the same configuration: all that was asked for, without the seed.
SETTINGS = ("model", "data", "n_train", "lr", "batch_size", "epochs", "augment", "optimizer", "scheduler", "config")


@dataclass(frozen=True)
class Runs:
    """Finished runs, and what was found beside them.

    Attributes:
        table: a row a finished run: the fields of ``metrics.json``, and ``folder`` (Path), ``experiment`` (name or
            None), ``overrides`` (list of str, as on the command line), ``settings`` (a text, equal for runs that
            differ in nothing but the seed) and ``label`` (the shortest name that tells its configuration from the
            other ones in the table).
        skipped: ``(folder, reason)`` of every run folder that is unfinished, failed, broken, or a repetition.
    """

    table: pd.DataFrame
    skipped: list[tuple[Path, str]]


def read_runs(folders: Iterable[str | Path]) -> Runs:
    """Read every run at or below the given folders.

    Raises:
        InputError: if a folder does not exist, or there is not one finished run.
    """
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: name a sweep or a run folder below outputs/")
    records, skipped, seen = [], [], {}
    for folder in dict.fromkeys(find_runs(folders)):
        status = read_json(folder / "status.json") or {}
        record, reason = _read_run(folder, status)
        first = seen.setdefault(status.get("identity") or folder, folder) if record else None
        if record is None:
            skipped.append((folder, reason))
        elif first != folder:
            skipped.append((folder, f"repeats {first}: counted once"))
        else:
            records.append(record)
    if not records:
        found = f"{len(skipped)} found, the first: {skipped[0][0].name}: {skipped[0][1]}" if skipped else "none found"
        raise InputError(f"no finished run below {', '.join(map(str, folders))} ({found})")
    table = pd.DataFrame(records)
    table["label"] = name_configurations(table)
    return Runs(table.sort_values(["data", "label", "seed"], ignore_index=True), skipped)


def _read_run(folder: Path, status: dict) -> tuple[dict | None, str]:
    """Return a finished run's record, or None and the reason."""
    metrics = read_metrics(folder)
    if metrics is None:
        if (folder / "metrics.json").exists():
            return None, "broken: metrics.json is not a JSON object"
        if status.get("state") == "failed":
            return None, f"failed: {status.get('reason', 'no reason recorded')}"
        if status.get("state") != "running":
            return None, "broken: no metrics.json, and status.json does not say why"
        return None, f"unfinished: epoch {status.get('epoch', 0)} of {status.get('epochs', '?')}"
    missing = [key for key in REQUIRED if key not in metrics]
    if missing:
        return None, f"broken: metrics.json lacks {', '.join(missing)}"
    if not (folder / "predictions.npz").exists():
        return None, "broken: predictions.npz is missing"
    overrides = _overrides(folder)
    experiment = next((o.partition("=")[2] for o in overrides if o.startswith("experiment=")), None)
    settings = {key: metrics.get(key) for key in (*SETTINGS, "model_options", "data_fingerprint")}
    return metrics | {
        "folder": folder,
        "experiment": experiment,
        "overrides": overrides,
        "settings": json.dumps(settings, sort_keys=True),
    }, ""


def _overrides(folder: Path) -> list[str]:
    try:
        text = (folder / ".hydra" / "overrides.yaml").read_text()
        return [str(override) for override in yaml.safe_load(text) or []]
    except (OSError, yaml.YAMLError):  # a run that another program started
        return []


def augment_name(augment: dict | None) -> str:
    """Return the preset that an augmentation is, or its settings as one word a setting."""
    from mnist_zoo.data.augment import PRESETS  # here: it imports torch

    active = {key: value for key, value in (augment or {}).items() if value and value != "zeros"}
    for name, preset in PRESETS.items():
        if active == preset:
            return name
    return " ".join(f"{key}={value:g}" if not isinstance(value, str) else value for key, value in active.items())


def name_configurations(table: pd.DataFrame) -> list[str]:
    """Return for each run (by its ``settings``) its model and those settings that differ between runs of that model."""
    flat = {settings: _flatten(json.loads(settings)) for settings in table["settings"].unique()}
    labels = {}
    for settings, own in flat.items():
        others = [other for other in flat.values() if other["model"] == own["model"]]
        varying = [key for key in own if any(other.get(key) != own[key] for other in others)]
        # What the data set brings along (its size, its fingerprint) need not be told apart twice.
        if "data" in varying:
            same_data = [other for other in others if other["data"] == own["data"]]
            brought = ("n_train", "data_fingerprint")
            varying = [k for k in varying if k not in brought or any(o[k] != own[k] for o in same_data)]
        if "n_train" in varying:
            varying = [key for key in varying if key != "data_fingerprint"]
        for group in ("optimizer", "scheduler"):  # another name brings other options along
            if f"{group}.name" in varying:
                varying = [key for key in varying if not key.startswith(f"{group}.") or key.endswith(".name")]
        words = [_word(key, own[key]) for key in varying if key != "model"]
        labels[settings] = " ".join([own["model"], *words])
    return [labels[settings] for settings in table["settings"]]


def _flatten(settings: dict) -> dict:
    flat = {key: settings[key] for key in SETTINGS[:6]} | {"augment": augment_name(settings["augment"])}
    for group in ("model_options", "optimizer", "scheduler", "config"):
        for key, value in (settings[group] or {}).items():
            if isinstance(value, dict):
                flat |= {f"{group}.{key}.{inner}": item for inner, item in value.items()}
            else:
                flat[f"{group}.{key}"] = value
    return flat | {"data_fingerprint": settings["data_fingerprint"]}


def _word(key: str, value) -> str:
    if key == "data":
        return str(value)
    name = key.removesuffix(".name").removeprefix("model_options.").removeprefix("config.")
    if key == "data_fingerprint":
        return f"images={str(value)[:6]}"
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, separators=(",", ":")).strip('"')
    return f"{name}={text}"


def load_data(run: pd.Series, data_root: str | Path | None = None):
    """Return the `MNISTDataModule` that a run used, for its images and class names.

    Args:
        run: a row of `Runs`.
        data_root: where the files are, if no longer where the run found them.

    Raises:
        InputError: if they are not to be had, or are not the ones the run saw.
    """
    from mnist_zoo.data import MNISTDataModule  # here: it imports Lightning

    try:
        config = yaml.safe_load((run["folder"] / ".hydra" / "config.yaml").read_text())["data"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):  # a run that another program started
        config = {}
    if config.pop("name", run["data"]) != run["data"]:  # the run went on with its fallback, which has no options
        config = {key: value for key, value in config.items() if key not in ("train_csv", "test_csv")}
    config |= {"fallback": None} | ({"root": str(data_root)} if data_root else {})
    data = MNISTDataModule(run["data"], **config)
    if data.fingerprint != run["data_fingerprint"]:
        raise InputError(f"the images of {run['data']} in {data.root} are not those that {run['folder'].name} saw")
    return data
