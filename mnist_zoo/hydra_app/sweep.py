"""A sweep that continues: it finds the finished jobs of a grid, runs the others, and summarises the results."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mnist_zoo import __version__
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.files import to_json, write_atomically
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, resolved
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.overrides import top_level_key
from mnist_zoo.runs import (
    JOB_FILE,
    SWEEP_FILE,
    DamagedFile,
    RunFolder,
    in_use,
    read_job,
    read_metrics,
    read_status,
    read_sweep,
)
from mnist_zoo.runs.identity import NEUTRAL, comparable, differences
from mnist_zoo.training.settings import check

Compose = Callable[[Sequence[str]], DictConfig]
Launch = Callable[[Sequence[Sequence[str]]], object]


class SweepFailed(ZooError):
    """Some jobs of a sweep failed. The others are finished."""


@dataclass
class Job:
    """One point of the grid.

    Attributes:
        overrides: as Hydra passes them to the job.
        folder: its run folder.
        changes: how the run in the folder differs from the requested one; empty if the folder holds no run.
        finished: whether the folder holds a finished run.
    """

    overrides: list[str]
    folder: Path
    changes: list[str]
    finished: bool


def run_sweep(cfg: DictConfig, jobs: Sequence[Sequence[str]], compose: Compose, launch: Launch) -> list[float]:
    """Launch the jobs that are not finished; return the validation accuracy of each job, or NaN.

    Args:
        cfg: the configuration of the sweep, with the node ``hydra``.
        jobs: the overrides of each job.
        compose: returns the configuration of a job from its overrides.
        launch: runs jobs, given their overrides.

    Raises:
        InputError: if folders were made with other settings and ``on_change=stop``. No folder was changed then.
        SweepFailed: after all jobs, if some failed.
    """
    place = Path(cfg.hydra.sweep.dir)
    current = _Current(compose)
    plan = [_plan(list(overrides), place, current) for overrides in jobs]
    changed = [job for job in plan if job.changes]
    if changed and cfg.on_change == "stop":
        raise InputError(_what_changed(changed))
    kept = changed if cfg.on_change == "keep" else []
    unfinished = [job for job in plan if (job.changes or not job.finished) and job not in kept]
    elsewhere = [job for job in unfinished if in_use(job.folder)]
    todo = [job for job in unfinished if job not in elsewhere]
    for job in todo:  # an invalid job stops the sweep before its first job
        current.config(job.overrides)

    _write_sweep_record(place, cfg.sweep, plan)
    counts = {
        "finished": len(plan) - len(unfinished) - len(kept),
        "kept": len(kept),
        "to run": len(todo),
        "run by another process": len(elsewhere),
    }
    print(f"sweep {place}: {', '.join(f'{count} {what}' for what, count in counts.items() if count)}", flush=True)
    for job in changed if cfg.on_change == "rerun" else []:
        with RunFolder(job.folder) as folder:
            folder.clear()
    if todo:
        launch([job.overrides for job in todo])
    return _conclude(plan, todo)


def _plan(overrides: list[str], place: Path, current: _Current) -> Job:
    folder = place / job_name(overrides)
    status = _or_none(read_status, folder)
    changes = current.changes(overrides, folder, status) if status and "config" in status else []
    return Job(overrides, folder, changes, finished=_or_none(read_metrics, folder) is not None)


def _or_none(read: Callable[[Path], dict[str, Any] | None], folder: Path) -> dict[str, Any] | None:
    """Return what a reader returns; None for a damaged file, which the job writes again."""
    try:
        return read(folder)
    except DamagedFile:
        return None


class _Current:
    """Compares the run in a folder with the run that the same overrides give now.

    To compose a configuration takes a tenth of a second, which is long for a sweep of a thousand jobs. If the
    overrides and the files of ``conf/`` are those in the folder's ``job.json``, the configuration is the one in its
    ``status.json``. Only other jobs are composed. Data are loaded once for each distinct data configuration.
    """

    def __init__(self, compose: Compose):
        self._compose = compose
        self._fingerprints: dict[str, str] = {}

    def changes(self, overrides: Sequence[str], folder: Path, status: Mapping[str, Any]) -> list[str]:
        """Return how the run in `folder` differs: ``key: old -> new`` for each setting, the version and the data."""
        unchanged = _or_none(read_job, folder) == job_record(overrides)
        cfg = None if unchanged else self.config(overrides)
        found = [] if cfg is None else differences(status["config"], comparable(cfg))
        if status["version"] != __version__:
            found.append(f"mnist_zoo: {status['version']} -> {__version__}")
        fingerprint = self._fingerprint(overrides, status["config"]["data"], cfg)
        if not any(change.startswith("data.") for change in found) and fingerprint != status["data_fingerprint"]:
            found.append(f"data: fingerprint {status['data_fingerprint']} -> {fingerprint}")
        return found

    def config(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the configuration of a job: composed, resolved and checked."""
        cfg = resolved(self._compose(overrides))
        check(cfg)
        return cfg

    def _fingerprint(self, overrides: Sequence[str], data: Mapping[str, Any], cfg: dict[str, Any] | None) -> str:
        """Return the fingerprint of the data that the job would use now."""
        key = json.dumps([data, sorted(word for word in overrides if top_level_key(word) in ("data", "plugins"))])
        if key not in self._fingerprints:
            from mnist_zoo.data import load_data  # here: it imports torch, which a new sweep need not wait for

            self._fingerprints[key] = load_data(cfg or self.config(overrides)).fingerprint
        return self._fingerprints[key]


def job_record(overrides: Sequence[str]) -> dict[str, Any]:
    """Return what determines the configuration of a job: its overrides without neutral ones and a hash of ``conf/``."""
    named = sorted(word for word in overrides if top_level_key(word) not in (*NEUTRAL, "hydra"))
    return {"overrides": named, "conf": _conf_digest()}


def write_job_record(folder: Path, overrides: Sequence[str]) -> None:
    """Write `job_record` into the folder of a job."""
    write_atomically(folder / JOB_FILE, to_json(job_record(overrides)))


@cache
def _conf_digest() -> str:
    """Return a hash of the names and contents of all configuration files."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(CONFIG_DIR.rglob("*.yaml")):
        digest.update(path.relative_to(CONFIG_DIR).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _what_changed(changed: Sequence[Job]) -> str:
    shown = "; ".join(changed[0].changes[:5])
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return (
        f"{changed[0].folder}{more} was made with other settings ({shown}): choose on_change=rerun (run it again), "
        f"on_change=keep (use it as it is), or another sweep=NAME"
    )


def _write_sweep_record(place: Path, name: str, plan: Sequence[Job]) -> None:
    """Add the jobs to the list in ``sweep.json``. Jobs of earlier, smaller grids stay in it."""
    place.mkdir(parents=True, exist_ok=True)
    known = read_sweep(place)
    jobs = list(dict.fromkeys([*known, *(job.folder.name for job in plan)]))
    write_atomically(place / SWEEP_FILE, to_json({"sweep": name, "jobs": jobs}))


def _conclude(plan: Sequence[Job], ran: Sequence[Job]) -> list[float]:
    """Return the objective of each job, or print the reasons of the jobs that failed and raise SweepFailed."""
    objectives, failed = [], []
    for job in plan:
        metrics = _or_none(read_metrics, job.folder)
        objectives.append(math.nan if metrics is None else metrics["val_acc"])
        if job in ran and metrics is None and not in_use(job.folder):
            status = _or_none(read_status, job.folder) or {}
            failed.append((job.folder.name, status.get("reason") or "it never started"))
    if failed:
        print("\nfailed:")
        for name, reason in failed:
            print(f"  {name}\n      {reason}")
        raise SweepFailed(f"{len(failed)} of {len(plan)} jobs failed; the same command runs them again")
    return objectives
