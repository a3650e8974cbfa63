"""Launching the jobs of a sweep: one after the other in this process, or with a launcher that starts other processes.

Prints a line for each job that ends, and finds out why a job has no result.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mnist_zoo.errors import InputError, printable
from mnist_zoo.files import storage_errors
from mnist_zoo.hydra_app.answer import Labels, result_text
from mnist_zoo.hydra_app.plan import Job, metrics_of
from mnist_zoo.runs import DamagedFile, in_use, read_status

# Runs jobs, given their overrides and the number of the first; returns what the launcher returned for each.
Launch = Callable[[Sequence[Sequence[str]], int], object]

INTERVAL = 0.5  # seconds between two looks at the folders of jobs that other processes run


class Failed(float):
    """The result of a job that failed: NaN, with the reason. A launcher brings it back from the job's process.

    Attributes:
        reason: one line.
    """

    reason: str

    def __new__(cls, reason: str) -> Failed:
        failed = super().__new__(cls, math.nan)
        failed.reason = reason
        return failed

    def __reduce__(self) -> tuple[type[Failed], tuple[str]]:
        return Failed, (self.reason,)


def launcher_class(hydra: Any) -> str:
    """Return the name of the class of Hydra's launcher, from the configuration's node ``hydra``."""
    return str(OmegaConf.select(hydra, "launcher._target_"))


def one_process(launcher: str) -> bool:
    """Return whether a launcher, named by its class, runs the jobs one after the other in the process of the sweep."""
    return launcher.endswith(".BasicLauncher")


def stacks_jobs(launcher: str) -> bool:
    """Return whether a launcher, named by its class, trains many jobs at once in the process of the sweep."""
    return launcher.endswith(".StackedLauncher")


def has_own_log(launcher: str) -> bool:
    """Return whether a launcher, named by its class, writes the output of each job to a file."""
    return "submitit" in launcher


def require_launcher(launcher: str) -> None:
    """Raise InputError if the machine lacks what a launcher, named by its class, needs."""
    if has_own_log(launcher) and launcher.endswith(".SlurmLauncher") and shutil.which("srun") is None:
        raise InputError(
            "this launcher submits jobs to Slurm, and there is no srun on this machine: run it on a login node of the "
            "cluster, or use hydra/launcher=local_processes or joblib_cores"
        )


def shares_output(launcher: str) -> bool:
    """Return whether a launcher, named by its class, lets several jobs at once write to the output of the sweep."""
    return not (one_process(launcher) or has_own_log(launcher))


def how_to_continue(interrupt: KeyboardInterrupt, folder: Path, plugins: Sequence[str] = ()) -> str:
    """Return what to say when a run was interrupted: the message of the interrupt, and the command that continues.

    Args:
        interrupt: its message says what is saved.
        folder: of the run.
        plugins: modules that the run needs.
    """
    message = str(interrupt) or "interrupted"
    if not (folder / "status.json").is_file():
        return f"{message}; nothing was trained yet: give the same command again"
    words = [f"resume={folder}", *([f"plugins=[{','.join(plugins)}]"] if plugins else [])]
    return f"{message}; continue with: python -m mnist_zoo {shlex.join(words)}"


def reason_of(error: BaseException) -> str:
    """Return the type and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class Launcher:
    """Launches jobs and tells how each ended.

    Args:
        launch: of Hydra's launcher.
        kind: the class of Hydra's launcher.
        labels: tell the jobs apart in the lines that are printed.
        debug: whether an error of a job ends the sweep with its traceback.
        stderr: a file for what processes of the launcher itself write on stderr, such as tracebacks after Ctrl-C.
    """

    def __init__(self, launch: Launch, kind: str, labels: Labels, debug: bool = False, stderr: Path | None = None):
        self._launch, self.kind, self._labels, self._debug = launch, kind, labels, debug
        self._stderr = stderr
        self._reasons: dict[Path, str] = {}
        self._before: dict[Path, dict[str, Any]] = {}
        self._shown: set[Path] = set()
        self._count = 0

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs, and return when the launcher does."""
        self._count = len(jobs)
        self._before = {job.folder: _status(job.folder) for job in jobs}
        if one_process(self.kind):
            for number, job in enumerate(jobs):
                print(f"[{number + 1}/{self._count}] {self._labels.text(job.overrides, job.folder)}", flush=True)
                self._run([job], number)
                self._show(job)
        elif jobs:
            with _own_stderr(self._stderr), self._watched(jobs):
                self._run(jobs, 0)

    def failure(self, job: Job) -> str | None:
        """Return why a job that was run has no result, or None if another process runs it now."""
        if in_use(job.folder):
            return None
        status = _status(job.folder)
        if status == self._before[job.folder]:
            status = {}  # of an earlier attempt
        if status.get("state") == "running":
            return self._reasons.get(job.folder) or "its process was killed"
        return status.get("reason") or self._reasons.get(job.folder) or "it never started"

    def _run(self, jobs: Sequence[Job], number: int) -> None:
        try:
            returned = self._launch([job.launched for job in jobs], number)
        except Exception as error:  # a worker process was killed, or Hydra cannot write its files
            if self._debug:
                raise
            self._reasons |= {job.folder: reason_of(error) for job in jobs}
            return
        for job, result in zip(jobs, returned if isinstance(returned, Sequence) else [], strict=False):
            value = getattr(result, "return_value", None)  # raises the error of the job with debug=true
            if isinstance(value, Failed):
                self._reasons[job.folder] = value.reason

    @contextmanager
    def _watched(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Within the block, look at the folders of the jobs now and then, and print a line for each that has ended."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(INTERVAL):
                for job in jobs:
                    self._show_if_ended(job)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
        for job in jobs:
            self._show(job)

    def _show_if_ended(self, job: Job) -> None:
        if job.folder in self._shown or not job.folder.is_dir():
            return
        status = _status(job.folder)
        if status and status != self._before[job.folder] and status.get("state") in ("finished", "failed"):
            self._show(job)

    def _show(self, job: Job) -> None:
        """Print how a job ended, once."""
        if job.folder in self._shown:
            return
        metrics = metrics_of(job.folder)
        failure = None if metrics is not None else self.failure(job)
        if metrics is None and failure is None:
            return  # another process runs it
        self._shown.add(job.folder)
        if metrics is not None:
            label = self._labels.text(job.overrides, job.folder)
            print(f"[{len(self._shown)}/{self._count}] {label}: {result_text(metrics)}", flush=True)
        else:
            print(f"error: {job.folder.name}: {printable(failure)}", file=sys.stderr, flush=True)


@contextmanager
def _own_stderr(path: Path | None) -> Iterator[None]:
    """Within the block, let new processes write on stderr to a file, and only this process to its own stderr."""
    if path is None:
        yield
        return
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    before, ours = sys.stderr, os.dup(2)
    with file, os.fdopen(ours, "w", buffering=1) as sys.stderr:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            sys.stderr = before


def _status(folder: Path) -> dict[str, Any]:
    """Return the status of a job; empty if there is none, or it is damaged."""
    try:
        return read_status(folder) or {}
    except DamagedFile:
        return {}
