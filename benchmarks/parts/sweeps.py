"""Eight jobs one after another, and the same eight through the launcher that fills the cores."""

from __future__ import annotations

from functools import partial

from benchmarks.rounds import Record, Spread, pick, ratio, run_python, timed
from benchmarks.settings import Settings
from benchmarks.tables import cell, verdict
from mnist_zoo.machine import cores
from mnist_zoo.plots.tables import markdown

TITLE = "Sweeps: eight jobs on the cores of one machine"
ALL_THREADS, ONE_THREAD, LAUNCHER = "one after another, all threads", "one after another, 1 thread", "joblib_cores"
ROUNDS = 3  # of minutes each
# Network, epochs a job, share of the 55,000 training images, and what is aimed at over one after another.
CASES = (("mlp", 10, 1.0, 1.8), ("cnn", 2, 0.5, 1.4))


def measure(settings: Settings) -> list[Record]:
    records = []
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


def _sweep(settings: Settings, overrides: list[str], threads: str | None) -> dict:
    """Run the whole command, from its start to its end, with a number of threads, or as many as torch takes."""
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
        "Wall time of the whole command `python -m mnist_zoo -m seed=0,1,...`, imports, tests and files included. One "
        "after another, the jobs take all the threads that torch takes by itself, or one; the launcher has a worker a "
        "core with one thread each. *At most* is what that could gain, each core doing what one thread does alone: the "
        "less, the better threads share the work of one job.",
        "",
    ]
    header = ("jobs", "how", "seconds", "launcher's gain over it", "at most", "aim")
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        goal = next(goal for model, _, _, goal in CASES if group.startswith(f"{model},"))
        for name in (ALL_THREADS, ONE_THREAD, LAUNCHER):
            seconds = Spread.of(record["seconds"] for record in pick(records, group, name).values())
            gain = None if name == LAUNCHER else ratio(records, group, name, LAUNCHER, lambda r: r["seconds"])
            limit = "" if name == LAUNCHER else _limit(records, group, name)
            aim = verdict(gain, goal) if name == ALL_THREADS else ""
            body.append((group, name, seconds, cell(gain), limit, aim))
    return lines + markdown(header, body)


def _limit(records: list[Record], group: str, name: str) -> Spread:
    """Return how many times as fast the jobs would be if every core did what one thread does alone."""
    alone, own = pick(records, group, ONE_THREAD), pick(records, group, name)
    return Spread.of(own[number]["cores"] * own[number]["seconds"] / alone[number]["seconds"] for number in own)
