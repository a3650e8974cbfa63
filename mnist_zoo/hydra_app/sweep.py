"""A sweep that goes on where it stopped: which jobs of a grid are finished, which to run, and what came of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mnist_zoo import __version__
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.hydra_app.commandline import CONFIG_DIR, job_name
from mnist_zoo.runs import RunFolder, in_use, read_json, read_metrics, to_json, write_atomically
from mnist_zoo.runs.identity import NEUTRAL, comparable, differences
from mnist_zoo.training.settings import check

SWEEP_FILE = "sweep.json"


class SweepFailed(ZooError):
    """Some jobs of a sweep failed; the others are finished."""


@dataclass
class Job:
    """One point of the grid.

    Attributes:
        overrides: as Hydra hands them to the job.
        folder: its run folder.
        changes: in what its folder's run differs from what is asked for now; empty if nothing is there.
        finished: whether the folder holds a finished run.
    """

    overrides: list[str]
    folder: Path
    changes: list[str]
    finished: bool


def run_sweep(
    cfg: DictConfig,
    jobs: Sequence[Sequence[str]],
    compose: Callable[[list[str]], DictConfig],
    launch: Callable[[list[list[str]]], object],
) -> list[float]:
    """Launch those jobs that are not finished, and return every job's objective: validation accuracy, or NaN.

    Args:
        cfg: the sweep's own config, Hydra's part included.
        jobs: the overrides of each job.
        compose: from a job's overrides to its config.
        launch: runs jobs, given their overrides.

    Raises:
        InputError: if folders were made with other settings and ``on_change=stop``, before any folder is touched.
        SweepFailed: at the end, if jobs failed.
    """
    place = Path(cfg.hydra.sweep.dir)
    current = _Current(compose)
    plan = [_plan(list(overrides), place, current) for overrides in jobs]
    changed = [job for job in plan if job.changes]
    if changed and cfg.on_change == "stop":
        raise InputError(_what_changed(changed))
    kept = changed if cfg.on_change == "keep" else []
    todo = [job for job in plan if not (job.finished and not job.changes) and job not in kept]
    elsewhere = [job for job in todo if in_use(job.folder)]
    todo = [job for job in todo if job not in elsewhere]
    for job in todo:  # what cannot be composed, or cannot be, stops the sweep before its first job
        current.config(job.overrides)

    _remember(place, cfg, plan)
    counts = {"finished": len(plan) - len(todo) - len(elsewhere) - len(kept), "kept": len(kept), "to run": len(todo)}
    counts["run by another process"] = len(elsewhere)
    print(f"sweep {place}: {', '.join(f'{count} {what}' for what, count in counts.items() if count)}", flush=True)
    for job in changed if cfg.on_change == "rerun" else []:
        with RunFolder(job.folder) as folder:
            folder.clear()
    if todo:
        launch([job.overrides for job in todo])
    return _conclude(plan, todo)


def _plan(overrides: list[str], place: Path, current: _Current) -> Job:
    folder = place / job_name(overrides)
    status = read_json(folder / "status.json")
    changes = current.changes(overrides, folder, status) if status and "config" in status else []
    return Job(overrides, folder, changes, finished=read_metrics(folder) is not None)


class _Current:
    """What jobs would be if they ran now, at the price of a second for a thousand of them.

    Composing a config takes a tenth of a second. A job whose overrides, and the files of ``conf/``, are those that its
    folder recorded has the config that the folder recorded; only the others are composed. The data are loaded once
    for each distinct data config, and only if there is something to compare them with.
    """

    def __init__(self, compose: Callable[[list[str]], DictConfig]):
        self._compose = compose
        self._fingerprints: dict[str, str] = {}

    def changes(self, overrides: list[str], folder: Path, status: dict) -> list[str]:
        source = read_json(folder / "job.json") or {}
        unchanged = source == job_record(overrides)
        cfg = None if unchanged else self.config(overrides)
        found = [] if unchanged else differences(status["config"], comparable(cfg))
        if status["version"] != __version__:
            found.append(f"mnist_zoo: {status['version']} -> {__version__}")
        fingerprint = self._fingerprint(overrides, status["config"]["data"], cfg)
        if not any(change.startswith("data.") for change in found) and fingerprint != status["data_fingerprint"]:
            found.append(f"data: fingerprint {status['data_fingerprint']} -> {fingerprint}")
        return found

    def config(self, overrides: list[str]) -> dict:
        """Return a job's config, composed, resolved and checked."""
        composed = self._compose(overrides)
        cfg = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
        cfg = OmegaConf.to_container(cfg, resolve=True)
        check(cfg)
        return cfg

    def _fingerprint(self, overrides: list[str], data: dict, cfg: dict | None) -> str:
        key = json.dumps([data, sorted(o for o in overrides if o.startswith(("data.", "data=", "plugins")))])
        if key not in self._fingerprints:
            from mnist_zoo.data import load_data  # here: it imports torch, which a first sweep's plan does not need

            self._fingerprints[key] = load_data(cfg or self.config(overrides)).fingerprint
        return self._fingerprints[key]


def job_record(overrides: Sequence[str]) -> dict:
    """Return what a job's config was composed from: its overrides, less those that change nothing, and ``conf/``."""
    named = sorted(o for o in overrides if o.lstrip("+~").split("=")[0].split(".")[0] not in (*NEUTRAL, "hydra"))
    return {"overrides": named, "conf": _conf_digest()}


@cache
def _conf_digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(CONFIG_DIR.rglob("*.yaml")):
        digest.update(path.relative_to(CONFIG_DIR).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _what_changed(changed: list[Job]) -> str:
    shown = "; ".join(changed[0].changes[:5])
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return (
        f"{changed[0].folder}{more} was made with other settings ({shown}): "
        f"choose on_change=rerun (anew), on_change=keep (as it is), or another sweep=NAME"
    )


def _remember(place: Path, cfg: DictConfig, plan: list[Job]) -> None:
    """Add the jobs to the sweep's list, for ``status``: a grid that grew keeps what it had."""
    place.mkdir(parents=True, exist_ok=True)
    known = (read_json(place / SWEEP_FILE) or {}).get("jobs", [])
    names = [job.folder.name for job in plan]
    record = {"sweep": cfg.sweep, "jobs": known + [name for name in names if name not in set(known)]}
    write_atomically(place / SWEEP_FILE, to_json(record))


def _conclude(plan: list[Job], ran: list[Job]) -> list[float]:
    objectives, failed = [], []
    for job in plan:
        metrics = read_metrics(job.folder)
        objectives.append(math.nan if metrics is None else metrics["val_acc"])
        status = read_json(job.folder / "status.json") or {}
        if job in ran and metrics is None and not in_use(job.folder):
            failed.append((job.folder.name, status.get("reason") or "it never started"))
    if failed:
        print("\nfailed:")
        for name, reason in failed:
            print(f"  {name}\n      {reason}")
        raise SweepFailed(f"{len(failed)} of {len(plan)} jobs failed; the same command tries them again")
    return objectives
