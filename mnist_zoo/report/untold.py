"""Settings in which configurations differ although their names do not say it.

A name has what tells a configuration from others of its model. Another model may be trained with other settings.
"""

from __future__ import annotations

import json

import pandas as pd

from mnist_zoo.report.reading import NAMED_GROUPS, flatten, label_word, setting_text, varying_keys
from mnist_zoo.report.tables import enumeration

OF_DATA = ("model", "data", "n_train", "split", "data_fingerprint")  # and the network; all others are of the training
MOST = 5  # settings that the sentence names


def untold_sentence(table: pd.DataFrame) -> list[str]:
    """Return the sentence on settings that differ without being in the names of the networks; none if there are none.

    Args:
        table: of `Runs`.
    """
    words = [
        f"{name}: " + ", ".join(f"{value} ({enumeration(labels)})" for value, labels in values.items())
        for name, values in untold_settings(table).items()
    ]
    if not words:
        return []
    more = f"; and {len(words) - MOST} more" if len(words) > MOST else ""
    return [f"Settings differ that the names do not tell: {'; '.join(words[:MOST])}{more}."]


def untold_settings(table: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Return the labels without a setting that varies: by name of the setting, and by its value.

    Args:
        table: of `Runs`; classical models do not count.
    """
    first = table.drop_duplicates("label")
    flat = {label: flatten(json.loads(text)) for label, text in zip(first["label"], first["settings"], strict=True)}
    flat = {label: own for label, own in flat.items() if own["epochs"] is not None}
    varying = varying_keys(flat.values(), ()).get((), set())
    named = [group for group in NAMED_GROUPS if f"{group}.name" in varying]
    found: dict[str, dict[str, list[str]]] = {}
    for key in dict.fromkeys(key for own in flat.values() for key in own if key in varying):
        group, _, option = key.rpartition(".")
        if key in OF_DATA or key.startswith("model_options.") or (group in named and option != "name"):
            continue
        for label, own in flat.items():
            if key not in own or f" {label_word(key, own[key])} " not in f" {label} ":
                name = key.removesuffix(".name").removeprefix("config.")
                value = setting_text(own[key]) if own.get(key) is not None else "none" if key in own else "default"
                found.setdefault(name, {}).setdefault(value, []).append(label)
    return found
