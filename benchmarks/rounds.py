"""Interleaved rounds: contenders that take turns, and the ratios of their results within a round."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.settings import ROOT, Settings
from mnist_zoo.errors import ZooError

Record = dict[str, Any]  # one contender in one round: group, contender, round, and what was measured


class BenchmarkFailed(ZooError):
    """A contender's process failed."""


@dataclass
class Contender:
    """One of the programs that are compared.

    Attributes:
        name: its name in tables.
        module: its ``main(turn, **options)`` runs in a separate process.
        options: JSON values.
        python: the interpreter.
        checkout: the checkout of the library that it imports ``mnist_zoo`` from.
    """

    name: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    checkout: Path = ROOT


class Worker:
    """The parent's side of a contender's process."""

    def __init__(self, contender: Contender, settings: Settings):
        self.name = contender.name
        self._log = Path(settings.folder("worker")) / "log.txt"
        folder, environment = ROOT, settings.environment
        if contender.checkout != ROOT:
            # Python looks in the working directory first: it must have this benchmark, and no mnist_zoo.
            folder = Path(settings.folder("checkout"))
            ignored = shutil.ignore_patterns("__pycache__", "*.json", "*.md", "*.png")
            shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=ignored)
            paths = [str(contender.checkout), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [contender.python, "-m", "benchmarks.worker", contender.module, json.dumps(contender.options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=environment,
            )
        assert self._process.stdin and self._process.stdout  # both are pipes
        self._words, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()  # also closes the pipes

    def answer(self) -> Record:
        """Return the worker's next answer; raises BenchmarkFailed if its process has ended."""
        line = self._answers.readline()
        if not line:
            raise BenchmarkFailed(f"{self.name} failed: {_last_line(self._log)}")
        return json.loads(line)

    def go(self) -> None:
        """Start the worker's turn; `answer` then returns its result."""
        self._words.write("go\n")
        self._words.flush()

    def turn(self) -> Record:
        """Give the worker a turn, wait until it is ready for the next one, and return its result."""
        self.go()
        done = self.answer()
        self.answer()  # its work between two turns must not disturb the next contender
        return done


def _last_line(log: Path) -> str:
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def interleave(
    group: str, contenders: Sequence[Contender], settings: Settings, warm_up: int = 1, *, tolerant: bool = False
) -> list[Record]:
    """Give each contender one turn in each round, and return one record for each turn.

    Args:
        group: the name of this comparison.
        contenders: which take turns.
        settings: of this call.
        warm_up: rounds before those that count; they have no records.
        tolerant: whether the others go on if a contender's process fails; its records are then one with ``missing``.

    Returns:
        Records with ``group``, ``contender``, ``round`` and the contender's result. A contender that cannot run here
        has a single record with the reason under ``missing``.

    Raises:
        BenchmarkFailed: if a contender's process fails, unless `tolerant`.
    """
    records: list[Record] = []

    def drop(worker: Worker, reason: str) -> None:
        records[:] = [record for record in records if record["contender"] != worker.name]
        records.append({"group": group, "contender": worker.name, "missing": reason})
        say(f"{group}: {worker.name} is missing: {reason}")

    with ExitStack() as stack:
        # All start at the same time, and all are ready before the first one works.
        ready: list[Worker] = []
        for worker in [stack.enter_context(Worker(contender, settings)) for contender in contenders]:
            answer = _try(worker.answer, tolerant)
            if "missing" in answer:
                drop(worker, answer["missing"])
            else:
                ready.append(worker)
        for number in range(-warm_up, settings.rounds):
            first = number % len(ready) if ready else 0
            for worker in [*ready[first:], *ready[:first]]:  # the order changes from round to round
                done = _try(worker.turn, tolerant)
                if "missing" in done:
                    ready.remove(worker)
                    drop(worker, done["missing"])
                elif number >= 0:
                    records.append({"group": group, "contender": worker.name, "round": number} | done)
                    say(f"{group}: {worker.name}, round {number + 1}: {done['images'] / done['seconds']:,.0f} images/s")
    return records


def _try(call: Callable[[], Record], tolerant: bool) -> Record:
    """Return a worker's answer; if its process has failed and that is tolerated, the reason under ``missing``."""
    try:
        return call()
    except BenchmarkFailed as error:
        if not tolerant:
            raise
        return {"missing": str(error)}


def timed(group: str, calls: Mapping[str, Callable[[], Record]], rounds: int) -> list[Record]:
    """Make each call once in each round, and return one record for each call: what it returned, with ``seconds``."""
    records: list[Record] = []
    for number in range(rounds):
        for name, call in calls.items():
            records.append({"group": group, "contender": name, "round": number} | call())
            say(f"{group}: {name}, round {number + 1}: {records[-1]['seconds']:.2f} s")
    return records


def run_python(arguments: Sequence[str], environment: dict[str, str], folder: str, status: int = 0) -> Record:
    """Run Python in a new process, and measure it from start to end.

    Args:
        arguments: of the interpreter.
        environment: variables.
        folder: for a file with its output.
        status: the expected exit status.

    Returns:
        ``seconds``, ``cpu_seconds`` (with those of its children), and ``bytes``, its largest resident size.

    Raises:
        BenchmarkFailed: if it exits with another status.
    """
    log = Path(folder) / "log.txt"
    started = time.perf_counter()
    with log.open("w") as file:
        child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file)
        _, ended, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(ended)  # else Popen would wait for it again
    if child.returncode != status:
        raise BenchmarkFailed(f"python {' '.join(arguments)} exited with {child.returncode}: {_last_line(log)}")
    return {
        "seconds": round(seconds, 4),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 4),
        "bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),  # kilobytes on Linux
    }


def say(line: str) -> None:
    """Print the benchmark's progress."""
    print(line, flush=True)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of a metric over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        given = list(values)
        return cls(statistics.median(given), min(given), max(given))

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def pick(records: Iterable[Record], group: str, contender: str) -> dict[int, Record]:
    """Return a contender's records in a group, by round; empty if it could not run."""
    return {
        record["round"]: record
        for record in records
        if record["group"] == group and record["contender"] == contender and "missing" not in record
    }


def speed(record: Record) -> float:
    """Return images per second."""
    return record["images"] / record["seconds"]


def cpu_speed(record: Record) -> float:
    """Return images per second of processor time, which other load on the cores affects less than `speed`."""
    return record["images"] / record["cpu_seconds"]


def ratio(
    records: Sequence[Record], group: str, over: str, under: str, metric: Callable[[Record], float] = speed
) -> Spread | None:
    """Return the ratio of two contenders' metrics, round by round; None if one of them is missing."""
    above, below = pick(records, group, over), pick(records, group, under)
    values = [metric(above[number]) / metric(below[number]) for number in sorted(above.keys() & below.keys())]
    return Spread.of(values) if values else None
