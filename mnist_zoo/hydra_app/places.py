"""Where sweeps and their jobs are: under the names of today, or under those that earlier versions gave them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.override_parser.types import Override

from mnist_zoo.hydra_app.names import (
    fixed_settings,
    former_job_name,
    former_sweep_name,
    full_name,
    job_name,
    sweep_name,
)
from mnist_zoo.runs import JOB_FILE, DamagedFile, read_job, read_overrides


def default_sweep(overrides: Sequence[Override], sweeps: Path, experiment_keys: Collection[str] = ()) -> str:
    """Return the name of a sweep that was given none: `sweep_name`, or the former name of the same sweep.

    Args:
        overrides: of the command line.
        sweeps: the folder that contains the folders of sweeps.
        experiment_keys: settings that the experiment of the command line sweeps.
    """
    name, former = sweep_name(overrides), former_sweep_name(overrides)
    if (sweeps / name).is_dir() or not (sweeps / former).is_dir():
        return name
    fixed = fixed_settings(overrides)
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()} | {*experiment_keys}
    swept -= {_key(word) for word in fixed}
    for path in (sweeps / former).glob(f"*/{JOB_FILE}"):
        words = _overrides_in(path.parent)
        if sorted(word.lstrip("+~") for word in words if _key(word) not in swept) == fixed:
            return former
    return name


def _overrides_in(folder: Path) -> list[str]:
    """Return the overrides in the ``job.json`` of a folder; none if it is damaged."""
    try:
        return (read_job(folder) or {}).get("overrides", [])
    except DamagedFile:
        return []


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


class JobFolders:
    """Finds the folders of a sweep's jobs. A folder that has another name is known by the overrides recorded in it."""

    def __init__(self, place: Path):
        self.place = place
        self._recorded: dict[str, Path] | None = None

    def find(self, overrides: Sequence[str]) -> Path:
        """Return the folder of a job. It has the name of today if the job has no folder yet."""
        folder = self.place / job_name(overrides)
        former = self.place / former_job_name(overrides)
        if folder.is_dir() or not self.place.is_dir():
            return folder
        return former if former.is_dir() else self._records().get(full_name(overrides), folder)

    def _records(self) -> dict[str, Path]:
        """Return the job folders by the full names of their jobs; read at the first call."""
        if self._recorded is None:
            self._recorded = {}
            for path in sorted(self.place.glob("*/.hydra/overrides.yaml")):
                folder = path.parents[1]
                with suppress(DamagedFile):
                    self._recorded.setdefault(full_name(read_overrides(folder)), folder)
        return self._recorded
