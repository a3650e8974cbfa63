"""Checks of overrides before Hydra composes them: what is not allowed, would do nothing, or would write elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, groups
from mnist_zoo.hydra_app.names import UNNAMED
from mnist_zoo.hydra_app.overrides import top_level_key, values
from mnist_zoo.settings import check_value

# Hydra's own settings that may be changed. The others would break what the library promises: for example, with
# hydra.sweep.subdir=x all jobs of a sweep have the same folder.
HYDRA = (
    *("hydra/launcher", "hydra.launcher", "hydra/job_logging", "hydra.job_logging", "hydra/hydra_logging"),
    *("hydra.hydra_logging", "hydra.callbacks", "hydra.searchpath", "hydra.verbose", "hydra.job.env_set"),
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweeper.params"),
)
INSTEAD = {
    "hydra.mode": "-m",
    "hydra.sweep.subdir": "sweep=NAME: the folder of a job follows from its settings",
    "hydra.output_subdir": "nothing: a run without its folder .hydra cannot be resumed",
    "hydra/sweeper": "python -m mnist_zoo.search for an adaptive search",
}
NAME = re.compile(r"[^\W_][\w.+-]*")


def check_overrides(overrides: Sequence[Override], *, multirun: bool) -> None:
    """Raise InputError for the first override that is not allowed.

    Args:
        overrides: of the command line, or of a run that is resumed.
        multirun: whether several values of a key are a sweep.
    """
    for override in overrides:
        key = override.key_or_group
        word = override.input_line
        if override.is_sweep_override():
            if not multirun:
                raise InputError(f"{word}: several values are a sweep: add -m (a list is written {key}='[...]')")
            if top_level_key(key) in UNNAMED:
                raise InputError(f"{word}: {key} cannot be swept, because its jobs would have the same folder")
        if override.is_delete():
            if "." not in key and key != "experiment":
                raise InputError(f"{word}: this setting cannot be removed")
            continue
        for value in values(override):
            if top_level_key(key) == "hydra":
                _check_hydra(key, value)
            elif key in groups():
                _check_choice(key, value)
            elif not (isinstance(value, str) and "${" in value):
                check_value(key, value)


def _check_choice(group: str, value: object) -> None:
    """Raise InputError unless a value can be an option of a group: one name, which is not a path."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        if isinstance(value, (list, dict)):
            raise InputError(f"{group}={value}: it takes one name (to change a setting, write {group}.key=value)")
        raise unknown(group, "null" if value is None else value, (p.stem for p in (CONFIG_DIR / group).glob("*.yaml")))


def _check_hydra(key: str, value: object) -> None:
    """Raise InputError for a setting of Hydra that may not be changed, or a folder that must not be written."""
    if not any(key == one or key.startswith(f"{one}.") for one in HYDRA):
        instead = next((cure for name, cure in INSTEAD.items() if key == name), None)
        cure = f"use {instead}" if instead else f"of Hydra's settings, only these can: {', '.join(HYDRA)}"
        raise InputError(f"{key} cannot be changed here: {cure}")
    if key in ("hydra.run.dir", "hydra.sweep.dir"):
        check_folder(key, value)
    if key == "hydra.run.dir":
        folder = Path(str(value))
        if (
            folder.is_dir()
            and any(folder.iterdir())
            and not any((folder / n).exists() for n in ("status.json", ".hydra"))
        ):
            raise InputError(f"{key}={value}: this folder holds other files: name a new one")


def check_folder(key: str, value: object) -> None:
    """Raise InputError unless a value names a folder, and without ``..``, which would leave the folder before it."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}={value}: it must name a folder")
    if ".." in re.split(r"[/\\]", value):
        raise InputError(f"{key}={value}: it must not contain '..': name the folder itself")
