"""The files that say which settings a search varies, and how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.hydra_app.compose import CONFIG_DIR

if TYPE_CHECKING:
    import optuna

RANGE_KEYS = {"low", "high", "log", "step"}


def read_space(name: str) -> dict[str, Any]:
    """Return the ``overrides`` of every trial, and the ``space`` of searched settings.

    Each entry of the space has either ``choices`` (a list), or ``low`` and ``high`` and optionally ``log`` or
    ``step``. If both bounds are integers, so are the suggested values.

    Args:
        name: a file of ``conf/search``, without its ending, or the path of a YAML file, such as ``./space.yaml``.

    Raises:
        InputError: if the name is unknown, or the file cannot be read or is invalid.
    """
    known = [path.stem for path in (CONFIG_DIR / "search").glob("*.yaml")]
    if not is_file(name) and name not in known:
        raise unknown("search", name, known)
    path = Path(name) if is_file(name) else CONFIG_DIR / "search" / f"{name}.yaml"
    shown = name if is_file(name) else f"conf/search/{name}.yaml"
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(
            f"search={name}: {error.strerror}: name a file, or one of {', '.join(sorted(known))}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{shown} is no YAML file: {' '.join(str(error).split())}") from error
    found = {"overrides": []} | found if isinstance(found, dict) else {}
    overrides, space = found.get("overrides"), found.get("space")
    if not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        raise InputError(f"{shown} needs overrides: a list of words such as model=cnn")
    if not isinstance(space, dict) or not space:
        raise InputError(f"{shown} needs space: settings with choices: [...], or low: and high:")
    for key, entry in space.items():
        names = set(entry) if isinstance(entry, dict) else set()
        if names != {"choices"} and not {"low", "high"} <= names <= RANGE_KEYS:
            raise InputError(f"{shown}: {key} needs choices: [...], or low: and high:, not {entry}")
    return {"overrides": overrides, "space": space}


def is_file(name: str) -> bool:
    """Return whether a search is named by the path of its file."""
    return name.endswith((".yaml", ".yml"))


def suggest(trial: optuna.Trial, key: str, entry: Mapping[str, Any]) -> object:
    """Return the trial's value of one setting."""
    if "choices" in entry:
        return trial.suggest_categorical(key, entry["choices"])
    # YAML reads 1e-4 as text: a float needs a dot there.
    low, high = (float(entry[bound]) if isinstance(entry[bound], str) else entry[bound] for bound in ("low", "high"))
    extra = {option: entry[option] for option in ("log", "step") if option in entry}
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, **extra)
    return trial.suggest_float(key, low, high, **extra)
