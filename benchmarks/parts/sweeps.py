"""Eight jobs one after another, and the same eight with the launcher that uses all cores."""

from __future__ import annotations

from functools import partial

from benchmarks.rounds import Record, Spread, pick, ratio, run_python, timed
from benchmarks.settings import Settings
from benchmarks.tables import cell, verdict
from mnist_zoo.machine import cores
from mnist_zoo.plots.tables import markdown

TITLE = "Sweeps: eight jobs on the cores of one machine"
ALL_THREADS, ONE_THREAD, LAUNCHER = "one after another, all threads", "one after another, 1 thread", "joblib_cores"
ROUNDS = 3  # at most: each takes minutes
# Network, epochs of a job, share of the 55,000 training images, and the least gain of the launcher that is wanted.
CASES = (("mlp", 10, 1.0, 1.8), ("cnn", 2, 0.5, 1.4))


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    for model, epochs, fraction, _ in CASES[:1] if settings.quick else CASES:
        epochs, fraction, jobs = (1, 0.02, 2) if settings.quick else (epochs, fraction, 8)
        given = [f"model={model}", f"epochs={epochs}", f"seed={','.join(map(str, range(jobs)))}", "trainer=cpu"]
        given += [f"data.root='{settings.data_root}'", "data.fallback=null", f"data.train_fraction={fraction}"]
        ways = {
            ALL_THREADS: partial(_sweep, settings, given, None),
            ONE_THREAD: partial(_sweep, settings, given, "1"),
            LAUNCHER: partial(_sweep, settings, [*given, "hydra/launcher=joblib_cores"], None),
        }
        group = f"{model}, {jobs} jobs of {epochs} x {round(fraction * 55_000):,} images"
        records += timed(group, ways, 1 if settings.quick else min(ROUNDS, settings.rounds))
    return records


def _sweep(settings: Settings, overrides: list[str], threads: str | None) -> Record:
    """Run the whole command with a number of threads, or with torch's default number."""
    environment = settings.environment
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name)
        if threads:
            environment[name] = threads
    folder = settings.folder("sweep")
    done = run_python(["-m", "mnist_zoo", "-m", *overrides, f"output_dir='{folder}'"], environment, folder)
    return done | {"cores": cores()}


def render(records: list[Record]) -> list[str]:
    lines = [
        "Wall time of the whole command `python -m mnist_zoo -m seed=0,1,...` with its imports, tests and files. One "
        "after another, the jobs have torch's default number of threads, or one; the launcher has a worker with one "
        "thread on each core. *At most* is the gain if each core were as fast as one thread alone. It is smaller where "
        "threads share the work of one job well.",
        "",
    ]
    header = ("jobs", "how", "seconds", "launcher's gain over it", "at most", "goal")
    body: list[tuple[object, ...]] = []
    for group in dict.fromkeys(record["group"] for record in records):
        goal = next(goal for model, _, _, goal in CASES if group.startswith(f"{model},"))
        for name in (ALL_THREADS, ONE_THREAD, LAUNCHER):
            seconds = Spread.of(record["seconds"] for record in pick(records, group, name).values())
            gain = None if name == LAUNCHER else ratio(records, group, name, LAUNCHER, lambda r: r["seconds"])
            limit = "" if name == LAUNCHER else _limit(records, group, name)
            reached = verdict(gain, goal) if name == ALL_THREADS else ""
            body.append((group, name, seconds, cell(gain), limit, reached))
    return lines + markdown(header, body)


def _limit(records: list[Record], group: str, name: str) -> Spread:
    """Return the gain that the launcher would have if each core were as fast as one thread alone."""
    alone, own = pick(records, group, ONE_THREAD), pick(records, group, name)
    return Spread.of(own[number]["cores"] * own[number]["seconds"] / alone[number]["seconds"] for number in own)
