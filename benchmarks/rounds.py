"""Interleaved rounds: contenders that wait for their turn, and the ratios of what they did within a round."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.settings import ROOT, Settings
from mnist_zoo.errors import ZooError

Record = dict  # of one contender in one round: group, contender, round, and what was measured


class BenchmarkFailed(ZooError):
    """A contender broke down."""


@dataclass
class Contender:
    """One of those that are compared.

    Attributes:
        name: what tables call it.
        module: its ``main(turn, **options)`` runs in a process of its own.
        options: JSON values.
        python: the interpreter.
    """

    name: str
    module: str
    options: dict = field(default_factory=dict)
    python: str = sys.executable


class Worker:
    """The parent's end of a contender's process."""

    def __init__(self, contender: Contender, settings: Settings):
        self.name = contender.name
        self._log = Path(settings.folder("worker")) / "log.txt"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [contender.python, "-m", "benchmarks.worker", contender.module, json.dumps(contender.options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=settings.environment,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.communicate()  # and close the pipes

    def answer(self) -> dict:
        """Return the worker's next line; raises BenchmarkFailed if the process has ended instead."""
        line = self._process.stdout.readline()
        if not line:
            words = self._log.read_text().strip().splitlines() or ["it says nothing"]
            raise BenchmarkFailed(f"{self.name} broke down: {words[-1]}")
        return json.loads(line)

    def go(self) -> None:
        """Let the worker work; `answer` then returns what it did."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def turn(self) -> dict:
        """Let the worker work, wait until it waits again, and return what it did."""
        self.go()
        done = self.answer()
        self.answer()  # what it does between turns must not disturb the next contender
        return done


def interleave(group: str, contenders: Sequence[Contender], settings: Settings, warm_up: int = 1) -> list[Record]:
    """Let each contender have a turn a round, and return a record a turn, those of the warm-up left out.

    A contender that cannot run here has one record that says why, under ``missing``.

    Raises:
        BenchmarkFailed: if a contender breaks down.
    """
    records: list[Record] = []
    with ExitStack() as stack:
        # One after another: a contender that starts must not disturb, or be disturbed by, one that works.
        ready = []
        for contender in contenders:
            worker = stack.enter_context(Worker(contender, settings))
            answer = worker.answer()
            if "missing" in answer:
                records.append({"group": group, "contender": worker.name, "missing": answer["missing"]})
            else:
                ready.append(worker)
        for number in range(-warm_up, settings.rounds):
            first = number % len(ready) if ready else 0
            for worker in [*ready[first:], *ready[:first]]:  # nobody always comes after the same neighbour
                done = worker.turn()
                if number >= 0:
                    records.append({"group": group, "contender": worker.name, "round": number} | done)
                    say(f"{group}: {worker.name}, round {number + 1}: {done['images'] / done['seconds']:,.0f} images/s")
    return records


def timed(group: str, calls: dict[str, Callable[[], dict]], rounds: int) -> list[Record]:
    """Make each call once a round, and return a record a call: what it returned, its ``seconds`` among it."""
    records = []
    for number in range(rounds):
        for name, call in calls.items():
            records.append({"group": group, "contender": name, "round": number} | call())
            say(f"{group}: {name}, round {number + 1}: {records[-1]['seconds']:.2f} s")
    return records


def run_python(arguments: Sequence[str], environment: dict[str, str], folder: str, status: int = 0) -> dict:
    """Run Python in a fresh process, from its start to its end.

    Args:
        arguments: of the interpreter.
        environment: variables.
        folder: where to keep what it prints.
        status: the exit status that is expected.

    Returns:
        ``seconds``, ``cpu_seconds`` (its children's too), and ``bytes``, its largest resident size.

    Raises:
        BenchmarkFailed: if it ends with another status.
    """
    log = Path(folder) / "log.txt"
    started = time.perf_counter()
    with log.open("w") as file:
        child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file)
        _, ended, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(ended)  # or Popen would wait for it, too
    if child.returncode != status:
        words = log.read_text().strip().splitlines() or ["it says nothing"]
        raise BenchmarkFailed(f"python {' '.join(arguments)} ended with {child.returncode}: {words[-1]}")
    return {
        "seconds": round(seconds, 4),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 4),
        "bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),  # kilobytes on Linux
    }


def say(line: str) -> None:
    """Print how far the benchmark has come."""
    print(line, flush=True)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of a figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def pick(records: Iterable[Record], group: str, contender: str) -> dict[int, Record]:
    """Return a contender's records of a group by round; empty if it could not run."""
    return {
        record["round"]: record
        for record in records
        if record["group"] == group and record["contender"] == contender and "missing" not in record
    }


def speed(record: Record) -> float:
    """Return images a second."""
    return record["images"] / record["seconds"]


def cpu_speed(record: Record) -> float:
    """Return images a second of processor time: what is left of `speed` when neighbours take the cores."""
    return record["images"] / record["cpu_seconds"]


def ratio(
    records: Sequence[Record], group: str, over: str, under: str, figure: Callable[[Record], float] = speed
) -> Spread | None:
    """Return the ratio of two contenders' figures, round by round; None if one of them is missing."""
    above, below = pick(records, group, over), pick(records, group, under)
    values = [figure(above[number]) / figure(below[number]) for number in sorted(above.keys() & below.keys())]
    return Spread.of(values) if values else None
