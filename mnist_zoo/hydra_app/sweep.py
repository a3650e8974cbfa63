"""A sweep that continues: it finds the finished jobs of a grid, runs the others, and compares the results."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mnist_zoo.errors import InputError, ZooError, printable
from mnist_zoo.files import storage_errors, to_json, write_atomically
from mnist_zoo.hydra_app.answer import Labels, Outcome, answer
from mnist_zoo.hydra_app.launching import (
    Launch,
    Launcher,
    has_own_log,
    launcher_class,
    one_process,
    require_launcher,
    stacks_jobs,
)
from mnist_zoo.hydra_app.places import JobFolders
from mnist_zoo.hydra_app.plan import Compose, Current, Job, config_folders, metrics_of, plan_job
from mnist_zoo.runs import SWEEP_FILE, RunFolder, in_use, read_sweep, sweeping
from mnist_zoo.stacked.settings import Choice
from mnist_zoo.waiting import loading_torch, waiting_for

SMALL = 10  # jobs; to compose so many configurations takes a second


class SweepFailed(ZooError):
    """Some jobs of a sweep failed. The others are finished."""


def run_sweep(cfg: DictConfig, jobs: Sequence[Sequence[str]], compose: Compose, launch: Launch) -> list[float]:
    """Launch the jobs that are not finished, print what came out, and return the validation accuracy of each job.

    Args:
        cfg: the configuration of the sweep, with the node ``hydra``.
        jobs: the overrides of each job.
        compose: returns the configuration of a job from its overrides.
        launch: runs jobs, given their overrides and the number of the first.

    Returns:
        Fractions; NaN for a job that another process runs.

    Raises:
        InputError: if folders were made with other settings and ``on_change=stop``, if the settings of a job are
            invalid, or if the launcher cannot work on this machine or refuses a job. No folder was changed then.
        SweepFailed: after all jobs, if some failed.
        KeyboardInterrupt: after Ctrl-C; its message says how to continue.
    """
    place, kind = Path(cfg.hydra.sweep.dir), launcher_class(cfg.hydra)
    require_launcher(kind)
    current, folders = Current(compose, config_folders(cfg.hydra)), JobFolders(place)
    with _planning(place, len(jobs)):
        plan = [plan_job(list(overrides), folders, current) for overrides in jobs]
        todo = _jobs_to_run(plan, cfg.on_change)
        configs = [current.config(job.overrides) for job in todo]  # raises InputError if one is invalid
    if todo and stacks_jobs(kind):
        _require_stackable(todo, configs, cfg.hydra.launcher.at_once)
    _write_sweep_record(place, cfg.sweep, plan)
    print(f"sweep {place}: {_counts(plan, todo, cfg.on_change)}", flush=True)
    _make_ready(todo)
    logs = Path(cfg.hydra.launcher.submitit_folder) if has_own_log(kind) else None
    stderr = None if logs is None else Path(str(logs).replace("%j", "launcher")) / "launcher.log"
    launcher = Launcher(launch, kind, Labels([job.overrides for job in plan]), cfg.debug, stderr)
    if todo and not one_process(kind):
        _say_where_to_look(place, logs)
    try:
        if todo:
            with sweeping(place):
                launcher.run(todo)
    except KeyboardInterrupt as error:
        print(answer(_outcomes(plan), place), flush=True)
        raise KeyboardInterrupt(f"{str(error) or 'interrupted'}; the same command continues the sweep") from error
    outcomes = _outcomes(plan, {job.folder: launcher.failure(job) for job in todo})
    print(answer(outcomes, place), flush=True)
    failed = sum(outcome.failure is not None for outcome in outcomes)
    if failed:
        raise SweepFailed(f"{failed} of {len(plan)} jobs failed; the same command runs them again")
    return [math.nan if outcome.metrics is None else outcome.metrics["val_acc"] for outcome in outcomes]


def _planning(place: Path, count: int) -> AbstractContextManager[None]:
    """Return the block in which a sweep is planned. It says so if that takes seconds."""
    if count < SMALL and not place.is_dir():
        return nullcontext()
    return waiting_for(f"sweep {place}: comparing its {count} job{'s' if count > 1 else ''} with what is there ...")


def _jobs_to_run(plan: Sequence[Job], on_change: str) -> list[Job]:
    """Return the jobs that this process runs: unfinished ones, and with ``on_change=rerun`` those that changed."""
    changed = [job for job in plan if job.changes]
    if changed and on_change == "stop":
        raise InputError(_what_changed(changed))
    wanted = [job for job in plan if (on_change == "rerun" if job.changes else not job.finished)]
    return [job for job in wanted if not in_use(job.folder)]


def _require_stackable(todo: Sequence[Job], configs: Sequence[dict[str, Any]], at_once: int) -> None:
    """Raise InputError if the stacked launcher refuses one of the jobs."""
    with loading_torch(f"{len(todo)} jobs, stacked"):
        from mnist_zoo.stacked.checking import require_stackable_jobs
    choices = []
    for job, config in zip(todo, configs, strict=True):
        continues = not job.changes and (job.damage is not None or metrics_of(job.folder) is None)
        begun = continues and RunFolder(job.folder).last_checkpoint.exists()
        choices.append(Choice(config, job.folder, begun))
    require_stackable_jobs(choices, at_once)


def _counts(plan: Sequence[Job], todo: Sequence[Job], on_change: str) -> str:
    """Return how many jobs there are of each kind, in words."""
    finished = sum(job.finished and not job.changes for job in plan)
    kept = sum(bool(job.changes) for job in plan) if on_change == "keep" else 0
    elsewhere = len(plan) - finished - kept - len(todo)
    counts = {"finished": finished, "kept": kept, "to run": len(todo), "run by another process": elsewhere}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _make_ready(todo: Sequence[Job]) -> None:
    """Delete what is left of runs that start again, and the damaged metrics of others."""
    for job in todo:
        if job.damage is not None:
            print(f"warning: {printable(job.damage)}; the job runs again", file=sys.stderr)
        if job.changes or job.damage is not None:
            with RunFolder(job.folder) as folder:
                folder.clear() if job.changes else folder.reopen()


def _outcomes(plan: Sequence[Job], failures: Mapping[Path, str | None] | None = None) -> list[Outcome]:
    """Return what became of each job; `failures` has the reasons of the jobs that were run and have no result."""
    found = []
    for job in plan:
        metrics = metrics_of(job.folder)
        failure = (failures or {}).get(job.folder) if metrics is None else None
        found.append(Outcome(job.overrides, job.folder, metrics, failure))
    return found


def _say_where_to_look(place: Path, logs: Path | None) -> None:
    """Print how to follow jobs that run in other processes."""
    if logs is not None:
        print(f"logs: {str(logs).replace('%j', '*')}/*_log.out")
    print(f"progress: python -m mnist_zoo.status {shlex.quote(str(place))} --watch", flush=True)


def _what_changed(changed: Sequence[Job]) -> str:
    shown = "; ".join(changed[0].changes[:5])
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return (
        f"{changed[0].folder}{more} was made with other settings ({shown}): choose on_change=rerun (run it again), "
        f"on_change=keep (use it as it is), or another sweep=NAME"
    )


def _write_sweep_record(place: Path, name: str, plan: Sequence[Job]) -> None:
    """Add the jobs to the list in ``sweep.json``. Jobs of earlier, smaller grids stay in it."""
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    jobs = list(dict.fromkeys([*read_sweep(place), *(job.folder.name for job in plan)]))
    write_atomically(place / SWEEP_FILE, to_json({"sweep": name, "jobs": jobs}))
