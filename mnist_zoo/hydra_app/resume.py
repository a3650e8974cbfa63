"""Resuming a run folder, which may be of somebody else: its recorded overrides are data, and must not run code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.overrides import parse, quote_path, top_level_key
from mnist_zoo.runs import read_overrides
from mnist_zoo.runs.identity import is_neutral, split_varies
from mnist_zoo.settings import check_value

# Recorded settings that say where and how a run was started. The resumed run goes to its own folder.
DROPPED = ("hydra", "output_dir", "sweep", "resume", "on_change", "debug", "progress")
CODE = {"plugins": "plug-ins", "callbacks": "callbacks"}
# What a resumed run may be given anew. Of `trainer`, anything but the device is found when settings are compared.
NEW = ("epochs", "trainer", "trainer.accelerator")
LOCAL_LOGGERS = ("none", "tensorboard")  # they write into the run folder, and nowhere else


def resumed(folder: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides that continue the run in `folder`: its recorded ones, then the new ones.

    Raises:
        InputError: if it is not a run folder, if the new overrides change its settings, or if a recorded one needs
            trust: plug-ins, loggers that write or send elsewhere, and interpolations must be named again.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"resume={folder}: there is no such folder")
    if not (path / "status.json").is_file() or not (path / ".hydra" / "overrides.yaml").is_file():
        raise InputError(f"resume={folder}: this is not a run folder (it has no status.json and .hydra/)")
    recorded = _recorded(folder, read_overrides(path))
    new = {override.key_or_group for override in parse(overrides)}
    lines = {override.key_or_group: str(override.input_line) for override in recorded}
    free = {key for key, line in lines.items() if "${" in line and not split_varies([line])} | {"callbacks"}
    changed = sorted(key for key in new - free - {*NEW} if top_level_key(key) == "hydra" or not is_neutral(key))
    if changed:
        raise InputError(f"a resumed run keeps its settings: only epochs and the device can change, not {changed[0]}")
    before = [override for override in recorded if override.key_or_group not in new and _is_kept(override)]
    _require_trust(folder, before, new)
    return [
        *(str(override.input_line) for override in before),
        *(word for word in overrides if not word.startswith("resume=")),
        quote_path(f"resume={path}"),
        quote_path(f"hydra.run.dir={path}"),
    ]


def _recorded(folder: str, words: Iterable[str]) -> list[Override]:
    """Return the recorded overrides, parsed."""
    try:
        return parse([*words])
    except HydraException as error:
        reason = " ".join(str(error).split())
        raise InputError(f"resume={folder}: .hydra/overrides.yaml is damaged ({reason}): start a new run") from error


def _is_kept(override: Override) -> bool:
    return top_level_key(override.key_or_group) not in DROPPED


def _require_trust(folder: str, recorded: Sequence[Override], new: Iterable[str]) -> None:
    """Raise InputError for the recorded overrides that the command must name again."""
    for override in recorded:
        key, word = override.key_or_group, shlex.quote(str(override.input_line))
        again = f"resume={folder}: if you trust it, add"
        if override.package is not None:
            raise InputError(f"{again} {word}: it puts a group at another place ({override.package})")
        if "${" in str(override.input_line) and not split_varies([str(override.input_line)]):
            raise InputError(f"{again} {word} with its value instead: the run folder's own interpolations are not used")
        if top_level_key(key) in CODE:
            check_value(key, override.value())
            what = CODE[top_level_key(key)]
            raise InputError(f"{again} {word}: {what} are code, and a run folder does not name code to run")
        remote = key == "logger" and override.value() not in LOCAL_LOGGERS
        if remote or (key.startswith("logger.") and "logger" not in new):
            named = [one for one in recorded if top_level_key(one.key_or_group) == "logger"]
            words = " ".join(shlex.quote(str(one.input_line)) for one in named)
            raise InputError(f"{again} {words}, or add logger=none: this logger writes outside the run folder")
