"""Sweeps of `mlp` with ``hydra/launcher=stacked`` beside the same jobs one after another, for the part ``gpu``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.rounds import BenchmarkFailed, Record, Spread, pick, ratio, run_python, say
from benchmarks.settings import Settings
from benchmarks.tables import cell, verdict
from mnist_zoo.plots.tables import markdown

ORDINARY, TOGETHER = "one after another", "stacked"
ROUNDS = 2  # at most
GOAL = 1.0  # least seconds of 4 jobs one after another over those of 64 stacked, on an H200


class Sweep(NamedTuple):
    """Jobs of two learning rates and half as many seeds, and how they are launched."""

    jobs: int
    launcher: str

    @property
    def name(self) -> str:
        return f"{self.jobs} jobs, {self.launcher}"


def measure(settings: Settings) -> Iterator[Record]:
    """Yield the seconds of each sweep, by the whole command, as soon as it has ended."""
    few, many, epochs, fraction = (2, 4, 1, 0.02) if settings.quick else (4, 64, 5, 1.0)
    group = f"stacked, mlp, {epochs} epochs of {round(fraction * 55_000):,} images"
    sweeps = [Sweep(few, ORDINARY), Sweep(many, TOGETHER), Sweep(few, TOGETHER)]
    given = ["model=mlp", f"epochs={epochs}", f"trainer={settings.device}", "logger=none", "data.fallback=null"]
    given += [f"data.root='{settings.data_root}'", f"data.train_fraction={fraction}", "lr=0.001,0.0003"]
    for number in range(1 if settings.quick else min(settings.rounds, ROUNDS)):
        for sweep in sweeps:
            record: Record = {"group": group, "contender": sweep.name, "jobs": sweep.jobs}
            folder = settings.folder("stacked")
            words = [*given, f"seed=range({sweep.jobs // 2})", f"output_dir='{folder}'"]
            words += ["hydra/launcher=stacked"] if sweep.launcher == TOGETHER else []
            try:
                done = run_python(["-m", "mnist_zoo", "-m", *words], settings.environment, folder)
                yield record | {"round": number} | done
                say(f"{group}: {sweep.name}, round {number + 1}: {done['seconds']:.1f} s")
            except BenchmarkFailed as error:
                say(f"{group}: {sweep.name}: {error}")
                yield record | {"missing": str(error)}


def render(records: list[Record]) -> list[str]:
    """Return the lines on these records; none if there are none."""
    body: list[tuple[object, ...]] = []
    for group, name in dict.fromkeys((record["group"], record["contender"]) for record in records):
        found = pick(records, group, name)
        if not found:
            body.append((name, next(record["missing"] for record in records if record["contender"] == name), "", ""))
            continue
        first = next(record["contender"] for record in records if record["group"] == group)
        over = ratio(records, group, first, name, lambda record: record["seconds"])
        seconds = Spread.of(record["seconds"] for record in found.values())
        goal = GOAL if name == Sweep(64, TOGETHER).name else None
        body.append((name, seconds, cell(over), verdict(over, goal)))
    if not body:
        return []
    what = records[0]["group"].removeprefix("stacked, ")
    header = ("sweep", "seconds", "seconds of the first over it", "goal")
    return ["", f"Sweeps of {what}, by the whole command:", "", *markdown(header, body)]
