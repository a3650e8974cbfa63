"""The files that say which settings a search varies, and how."""

from __future__ import annotations

import math
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

    Each entry of the space has either ``choices`` (a list, which may hold null and lists), or ``low`` and ``high`` and
    optionally ``log`` or ``step``. If both bounds are integers, so are the suggested values.

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
        problem = _problem(entry)
        if problem:
            raise InputError(f"{shown}: {key} {problem}, not {entry}")
    return {"overrides": overrides, "space": space}


def _problem(entry: object) -> str | None:
    """Return what an entry of a space needs, or None if it is valid."""
    names = set(entry) if isinstance(entry, dict) else set()
    if not isinstance(entry, dict) or (names != {"choices"} and not {"low", "high"} <= names <= RANGE_KEYS):
        return "needs choices: [...], or low: and high:"
    if "choices" in entry:
        return None if isinstance(entry["choices"], list) and entry["choices"] else "needs choices: a list of values"
    try:
        low, high = _bounds(entry)
    except (TypeError, ValueError, OverflowError):  # the last one: of an integer with hundreds of digits
        return "needs numbers as low: and high:"
    log, step = entry.get("log", False), entry.get("step", 1)
    if not low <= high:
        return "needs a low: that is not above high:"
    if not isinstance(log, bool) or (log and low <= 0):
        return "needs log: false, or log: true and a low: above 0"
    if log and "step" in entry:
        return "needs either log: or step:"
    whole = isinstance(low, int) and isinstance(high, int)
    if isinstance(step, bool) or not isinstance(step, int if whole else (int, float)) or not step > 0:
        return f"needs {'an integer' if whole else 'a number'} above 0 as step:"
    return None


def _bounds(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Return the bounds of a range. YAML reads 1e-4 as text: a float needs a dot there.

    Raises:
        ValueError, TypeError: if they are no finite numbers.
    """
    low, high = (float(entry[bound]) if isinstance(entry[bound], str) else entry[bound] for bound in ("low", "high"))
    if isinstance(low, bool) or isinstance(high, bool) or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError
    return low, high


def is_file(name: str) -> bool:
    """Return whether a search is named by the path of its file."""
    return name.endswith((".yaml", ".yml"))


def suggest(trial: optuna.Trial, key: str, entry: Mapping[str, Any]) -> object:
    """Return the trial's value of one setting."""
    if "choices" in entry:
        return trial.suggest_categorical(key, values_of(entry))
    low, high = _bounds(entry)
    extra = {option: entry[option] for option in ("log", "step") if option in entry}
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, **extra)
    return trial.suggest_float(key, low, high, **extra)


def values_of(entry: Mapping[str, Any]) -> list[Any]:
    """Return the choices of an entry, lists as texts, which Optuna can store; or the ends of its range."""
    if "choices" in entry:
        return [str(choice) if isinstance(choice, list) else choice for choice in entry["choices"]]
    return [*_bounds(entry)]
