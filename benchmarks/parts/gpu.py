"""A GPU: whether training on it is correct, its throughput beside bare, compiled and captured loops, several jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmarks.contenders import correct, synchronisations
from benchmarks.parts import stacked, throughput
from benchmarks.rounds import BenchmarkFailed, Contender, Record, Spread, Worker, interleave, pick, ratio, say, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell, missing, verdict
from mnist_zoo.machine import cores
from mnist_zoo.plots.tables import markdown

TITLE = "GPU"
ZOO, BF16, BARE, COMPILED = "this library", "this library, bf16-mixed", "bare loop, all tuned", "the same, compiled"
OWN_CAPTURE = "this library, captured"
CAPTURED, LAYOUT = "the same, captured as a CUDA graph", "the same, channels last"
USUAL = "the usual way"
CORRECT, WAITS, TOGETHER, STACKED = "correct", "waits", "jobs", "stacked"
GOALS = {BARE: 0.95, CAPTURED: 0.7}  # least ratios over the bare loops at batch 512
WITHOUT_GOALS = ("resnet18",)
JOBS, ROUNDS = (1, 4, 16), 5
CORES = 4  # for each process of the checks
NONE = {"group": "device", "contender": "GPU", "missing": "no CUDA device: not measured"}


class Case(NamedTuple):
    """What is measured as a unit; its records are written when it ends.

    Attributes:
        model: the name for ``--only``: a network, or ``correct``, ``waits``, ``jobs`` or ``stacked``.
        batch_size: for a network.
    """

    model: str
    batch_size: int = 0


CASES = (
    *(Case(CORRECT), Case(WAITS), Case("cnn", 512), Case(TOGETHER), Case(STACKED)),
    *(Case("mlp", 512), Case("lenet5", 512)),
    *(Case("resnet18", 512), Case("mlp", 64), Case("cnn", 64), Case("resnet18", 64), Case("cnn", 4096)),
)
QUICK = slice(0, 5)


def measure(settings: Settings) -> Iterator[Record]:
    if settings.device == "cuda" and not torch.cuda.is_available():
        say(NONE["missing"])
        yield NONE
        return
    special: dict[str, Callable[[Settings], Iterator[Record]]] = {
        CORRECT: _correct,
        WAITS: _waits,
        TOGETHER: _together,
        STACKED: stacked.measure,
    }
    for case in settings.select(CASES, QUICK):
        if case.model in special:
            yield from special[case.model](settings)
        else:
            group = f"{case.model}, batch {case.batch_size}"
            fewer = replace(settings, rounds=min(settings.rounds, ROUNDS))
            yield from interleave(group, _contenders(case, settings), fewer, tolerant=True)


def _correct(settings: Settings) -> Iterator[Record]:
    """Yield a record for each check; several processes share them. If one ends, its check is missing; all are new then.

    The checks are not timed, so the processes need not take turns.
    """
    names = list(correct.checks(settings.device, settings.quick))
    count = max(1, cores() // CORES)
    shares = [names[start::count] for start in range(count)]
    while any(shares):
        with ExitStack() as stack:
            checkers = [(stack.enter_context(_checker(share, settings)), share) for share in shares if share]
            yield from _until_one_ends(checkers)


def _checker(names: list[str], settings: Settings) -> Worker:
    options = {"names": list(names), "device": settings.device, "threads": CORES}
    options |= {"folder": settings.folder("correct")}
    return Worker(Contender(CORRECT, "benchmarks.contenders.correct", options), settings)


def _until_one_ends(checkers: list[tuple[Worker, list[str]]]) -> Iterator[Record]:
    """Let each process carry out its next check at the same time, until all names are taken or a process has ended."""
    for worker, _ in checkers:
        worker.answer()
    ended = False
    while not ended and any(names for _, names in checkers):
        asked = [(worker, names.pop(0)) for worker, names in checkers if names]
        for worker, _ in asked:
            worker.go()
        for worker, name in asked:
            record: Record = {"group": CORRECT, "contender": name}
            try:
                record |= {"round": 0} | worker.answer()
                worker.answer()
                say(f"{name}: {'passed' if record['passed'] else 'FAILED'} ({record['detail']})")
            except BenchmarkFailed as error:
                record["missing"], ended = str(error), True
                say(f"{name}: {error}")
            yield record


def _waits(settings: Settings) -> Iterator[Record]:
    """Yield how often an epoch of the real command waits for its device, for epochs of two lengths.

    The processes work at the same time: what they report are counts.
    """
    cases = (("cnn", "ema=0.99"),) if settings.quick else (("mlp",), ("cnn",), ("cnn", "ema=0.99"))
    with ExitStack() as stack:
        workers: list[tuple[Record, Worker]] = []
        for model, *given in cases:
            for fraction in (0.02,) if settings.quick else (0.1, 0.2):
                contender = throughput.zoo(ZOO, settings, model, 64, fraction, *given, device=settings.device)
                contender.module = "benchmarks.contenders.synchronisations"
                group, share = f"{' '.join([model, *given])}, waits", f"{fraction:g} of the images"
                worker = stack.enter_context(Worker(contender, settings))
                workers.append(({"group": group, "contender": share}, worker))
        for _, worker in workers:
            worker.answer()
            worker.go()
        for record, worker in workers:
            try:
                record |= {"round": 0} | worker.answer()
            except BenchmarkFailed as error:
                record["missing"] = str(error)
            found = record.get("missing") or {name: record[name] for name in synchronisations.WAITS}
            say(f"{record['group']}: {found}")
            yield record


def _contenders(case: Case, settings: Settings) -> list[Contender]:
    fraction = 0.02 if settings.quick else 1.0
    common: dict[str, Any] = {"model": case.model, "batch_size": case.batch_size, "root": str(settings.data_root)}
    common |= {"fraction": fraction}
    tuned = common | {"device": settings.device, "tuned": True, "fused": True}
    given = (settings, case.model, case.batch_size, fraction)
    found = [
        throughput.zoo(ZOO, *given, device=settings.device),
        Contender(BARE, "benchmarks.contenders.bare", tuned),
        Contender(CAPTURED, "benchmarks.contenders.captured", common),
    ]
    if settings.device == "cuda":
        found.append(throughput.zoo(OWN_CAPTURE, *given, "+speed.captured=true", device=settings.device))
    if case.batch_size == 512:
        found.append(throughput.zoo(BF16, *given, "trainer.precision=bf16-mixed", device=settings.device))
    if case.batch_size == 512 and case.model != "mlp":
        found.append(Contender(LAYOUT, "benchmarks.contenders.bare", tuned | {"channels_last": True}))
    if case in (Case("cnn", 512), Case("resnet18", 512)):
        usual = common | {
            "device": settings.device,
            "fraction": max(0.1 * fraction, 0.01),
            "folder": settings.folder("usual"),
        }
        found += [
            Contender(COMPILED, "benchmarks.contenders.bare", tuned | {"compiled": True}),
            Contender(USUAL, "benchmarks.contenders.usual", usual),
        ]
    return found


def _together(settings: Settings) -> Iterator[Record]:
    """Let several jobs train at once; yield one record a round, with all their images and the slowest one's time."""
    counts = (1, 2) if settings.quick else tuple(count for count in JOBS if count <= cores())
    for model in ("mlp",) if settings.quick else ("mlp", "cnn"):
        for jobs in counts:
            try:
                yield from _jobs_at_once(model, jobs, settings)
            except BenchmarkFailed as error:
                yield {"group": f"{model}, jobs", "contender": str(jobs), "missing": str(error)}


def _jobs_at_once(model: str, jobs: int, settings: Settings) -> list[Record]:
    records: list[Record] = []
    fraction = 0.02 if settings.quick else 1.0
    with ExitStack() as stack:
        contenders = [throughput.zoo(ZOO, settings, model, 64, fraction, device=settings.device) for _ in range(jobs)]
        workers = [stack.enter_context(Worker(contender, settings)) for contender in contenders]
        for worker in workers:
            worker.answer()
        for number in range(-1, min(settings.rounds, 3)):
            for worker in workers:
                worker.go()
            done = [worker.answer() for worker in workers]
            for worker in workers:
                worker.answer()
            total = {"images": sum(d["images"] for d in done), "seconds": max(d["seconds"] for d in done)}
            if number >= 0:
                records.append({"group": f"{model}, jobs", "contender": str(jobs), "round": number} | total)
    say(f"{model}, {jobs} jobs at once: {Spread.of(map(speed, records)).median:,.0f} images/s")
    return records


def render(records: list[Record]) -> list[str]:
    if records == [NONE]:
        return ["No CUDA device: not measured."]
    parts = {  # how a part is rendered, and its records; a part without any was not measured yet
        _checks: [record for record in records if record["group"] == CORRECT],
        _waiting: [record for record in records if record["group"].endswith(", waits")],
        _speeds: [record for record in records if ", batch " in record["group"]],
        _jobs: [record for record in records if record["group"].endswith(", jobs")],
        stacked.render: [record for record in records if record["group"].startswith(f"{STACKED}, ")],
    }
    return [line for render_part, own in parts.items() if own for line in render_part(own)]


def _checks(records: list[Record]) -> list[str]:
    passed = sum(record.get("passed", 0) for record in records)
    body = [
        (
            record["contender"],
            "missing" if "missing" in record else "passed" if record["passed"] else "**failed**",
            record.get("missing", record.get("detail", "")),
        )
        for record in records
    ]
    return [f"Checks passed: {passed} of {len(records)}.", "", *markdown(("check", "result", "found"), body), ""]


def _waiting(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for record in records:
        model = record["group"].removesuffix(", waits")
        if "missing" in record:
            body.append((model, record["missing"], *[""] * len(synchronisations.WAITS)))
        else:
            body.append((model, f"{record['steps']:g}", *(f"{record[name]:g}" for name in synchronisations.WAITS)))
    header = ("network", "steps", *(f"`{name}`" for name in synchronisations.WAITS))
    return ["Waits for the device in the training part of an epoch, by the profiler:", "", *markdown(header, body), ""]


def _speeds(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for group, name in dict.fromkeys((record["group"], record["contender"]) for record in records):
        if missing(records, group, name):
            body.append((group, name, missing(records, group, name), "", ""))
            continue
        over = None if name == ZOO else ratio(records, group, ZOO, name)
        model, _, batch = group.partition(", batch ")
        goal = GOALS.get(name) if batch == "512" and model not in WITHOUT_GOALS else None
        of_own = f"{Spread.of(map(speed, pick(records, group, name).values())).median:,.0f}"
        body.append((group, name, of_own, cell(over), verdict(over, goal)))
    table = markdown(("network", "contender", "images/s", "this library over it", "goal"), body)
    what = "Images per second of training, in epochs after the warm-up; the bare loops train this library's network."
    return [what, "", *table, ""]


def _jobs(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for group, jobs in dict.fromkeys((record["group"], record["contender"]) for record in records):
        model, one = group.partition(",")[0], pick(records, group, "1")
        if missing(records, group, jobs):
            body.append((model, jobs, missing(records, group, jobs), ""))
            continue
        total = Spread.of(map(speed, pick(records, group, jobs).values())).median
        times = f"{total / Spread.of(map(speed, one.values())).median:.2f}" if one else "-"
        body.append((model, jobs, f"{total:,.0f}", times))
    table = markdown(("network", "jobs", "images/s", "times one job's"), body)
    return ["Several jobs of batch size 64 at once on one GPU, and the sum of their images/s:", "", *table, ""]
