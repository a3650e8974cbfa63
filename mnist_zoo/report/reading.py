"""Read run folders into one pandas table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from mnist_zoo.errors import InputError
from mnist_zoo.runs import DamagedFile, find_runs, read_metrics, read_status

if TYPE_CHECKING:
    from mnist_zoo.data import MNISTDataModule

# Runs with equal values of these, "model_options" and "data_fingerprint" belong to one configuration.
PLAIN_SETTINGS = ("model", "data", "n_train", "lr", "batch_size", "epochs")
SETTINGS = (*PLAIN_SETTINGS, "augment", "optimizer", "scheduler", "config")


@dataclass(frozen=True)
class Runs:
    """Finished runs, and the run folders that cannot be used.

    Attributes:
        table: one row per finished run, with the fields of ``metrics.json`` and: ``folder`` (Path), ``experiment``
            (name or None), ``overrides`` (list of str, as on the command line), ``settings`` (a text that is equal
            for runs of one configuration) and ``label`` (the shortest name that tells its configuration from the
            others in the table).
        skipped: ``(folder, reason)`` of each run folder that is unfinished, failed, broken or a repetition.
    """

    table: pd.DataFrame
    skipped: list[tuple[Path, str]]


def read_runs(folders: Iterable[str | Path]) -> Runs:
    """Read every run at or below the given folders.

    Raises:
        InputError: if a folder does not exist, or if there is no finished run.
    """
    places = [Path(folder) for folder in folders]
    for folder in places:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: name a sweep or a run folder below outputs/")
    records: list[dict] = []
    skipped: list[tuple[Path, str]] = []
    seen: dict[str | Path, Path] = {}
    for folder in dict.fromkeys(find_runs(places)):
        try:
            status = read_status(folder) or {}
            record = _read_run(folder, status)
        except (_Unusable, DamagedFile) as reason:
            skipped.append((folder, f"broken: {reason}" if isinstance(reason, DamagedFile) else str(reason)))
            continue
        first = seen.setdefault(status.get("identity") or folder, folder)
        if first != folder:
            skipped.append((folder, f"repeats {first}: counted once"))
        else:
            records.append(record)
    if not records:
        found = f"{len(skipped)} found, the first: {skipped[0][0].name}: {skipped[0][1]}" if skipped else "none found"
        raise InputError(f"no finished run below {', '.join(map(str, places))} ({found})")
    table = pd.DataFrame(records)
    table["label"] = name_configurations(table)
    return Runs(table.sort_values(["data", "label", "seed"], ignore_index=True), skipped)


class _Unusable(Exception):
    """A run folder cannot be used; the message says why."""


def _read_run(folder: Path, status: Mapping[str, Any]) -> dict:
    """Return the table row of a finished run, or raise `_Unusable`."""
    metrics = read_metrics(folder)
    if metrics is None:
        raise _Unusable(_why_no_metrics(folder, status))
    if not (folder / "predictions.npz").exists():
        raise _Unusable("broken: predictions.npz is missing")
    overrides = _overrides(folder)
    experiment = next((o.partition("=")[2] for o in overrides if o.startswith("experiment=")), None)
    settings = {key: metrics.get(key) for key in (*SETTINGS, "model_options", "data_fingerprint")}
    return metrics | {
        "folder": folder,
        "experiment": experiment,
        "overrides": overrides,
        "settings": json.dumps(settings, sort_keys=True),
    }


def _why_no_metrics(folder: Path, status: Mapping[str, Any]) -> str:
    if status.get("state") == "failed":
        return f"failed: {status.get('reason', 'no reason recorded')}"
    if status.get("state") not in ("running", "interrupted"):
        return "broken: no metrics.json, and status.json does not say why"
    return f"unfinished: epoch {status.get('epoch', 0)} of {status.get('epochs', '?')}"


def _overrides(folder: Path) -> list[str]:
    """Return the overrides of a run; empty for a run that another program started."""
    try:
        text = (folder / ".hydra" / "overrides.yaml").read_text()
        return [str(override) for override in yaml.safe_load(text) or []]
    except (OSError, yaml.YAMLError):
        return []


def augment_name(augment: Mapping[str, Any] | None) -> str:
    """Return the name of the preset that an augmentation equals, or its settings as ``name=value`` words."""
    from mnist_zoo.data.augment import PRESETS  # here: it imports torch

    active = {key: value for key, value in (augment or {}).items() if value and value != "zeros"}
    for name, preset in PRESETS.items():
        if active == preset:
            return name
    return " ".join(f"{key}={value:g}" if not isinstance(value, str) else value for key, value in active.items())


def name_configurations(table: pd.DataFrame) -> list[str]:
    """Return the label of each run: its model, and the settings that differ between the runs of that model."""
    flat = {settings: _flatten(json.loads(settings)) for settings in table["settings"].unique()}
    labels = {}
    for settings, own in flat.items():
        others = [other for other in flat.values() if other["model"] == own["model"]]
        varying = [key for key in own if any(other.get(key) != own[key] for other in others)]
        # The name of the data set already implies its size and fingerprint.
        if "data" in varying:
            same_data = [other for other in others if other["data"] == own["data"]]
            implied = ("n_train", "data_fingerprint")
            varying = [k for k in varying if k not in implied or any(o[k] != own[k] for o in same_data)]
        if "n_train" in varying:
            varying = [key for key in varying if key != "data_fingerprint"]
        for group in ("optimizer", "scheduler"):  # another name implies other options
            if f"{group}.name" in varying:
                varying = [key for key in varying if not key.startswith(f"{group}.") or key.endswith(".name")]
        words = [_word(key, own[key]) for key in varying if key != "model"]
        labels[settings] = " ".join([own["model"], *words])
    return [labels[settings] for settings in table["settings"]]


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with dotted keys instead of nested dicts."""
    flat = {key: settings[key] for key in PLAIN_SETTINGS} | {"augment": augment_name(settings["augment"])}
    for group in ("model_options", "optimizer", "scheduler", "config"):
        for key, value in (settings[group] or {}).items():
            if isinstance(value, dict):
                flat |= {f"{group}.{key}.{inner}": item for inner, item in value.items()}
            else:
                flat[f"{group}.{key}"] = value
    return flat | {"data_fingerprint": settings["data_fingerprint"]}


def _word(key: str, value: object) -> str:
    """Return a setting as it appears in a label."""
    if key == "data":
        return str(value)
    name = key.removesuffix(".name").removeprefix("model_options.").removeprefix("config.")
    if key == "data_fingerprint":
        return f"images={str(value)[:6]}"
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, separators=(",", ":")).strip('"')
    return f"{name}={text}"


def load_data(run: pd.Series, data_root: str | Path | None = None) -> MNISTDataModule:
    """Return the `MNISTDataModule` of a run, for its images and class names.

    Args:
        run: a row of `Runs`.
        data_root: folder of the data files, if they are no longer where the run found them.

    Raises:
        InputError: if the data cannot be loaded, or if the images are not those that the run used.
    """
    from mnist_zoo import data as images  # here: it imports Lightning

    cfg = _data_config(run["folder"])
    options = cfg["data"]
    if options.get("name", run["data"]) != run["data"]:  # the run used its fallback, which has no CSV files
        options = {key: value for key, value in options.items() if key not in ("train_csv", "test_csv")}
    cfg["data"] = options | {"name": run["data"]}
    data = images.load_data(cfg, fallback=None, **({"root": str(data_root)} if data_root else {}))
    if data.fingerprint != run["data_fingerprint"]:
        raise InputError(f"the images of {run['data']} in {data.root} are not those that {run['folder'].name} used")
    return data


def _data_config(folder: Path) -> dict[str, Any]:
    """Return what determines the images in a run's config; no more than that, since the rest is not resolved."""
    try:
        cfg = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
        return {"data": dict(cfg["data"]), "plugins": cfg.get("plugins") or ()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        return {"data": {}, "plugins": ()}
