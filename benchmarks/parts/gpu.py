"""Throughput on a GPU beside bare, compiled and captured loops and the usual way; several jobs on one GPU."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch

from benchmarks.contenders import synchronisations
from benchmarks.parts import throughput
from benchmarks.rounds import Contender, Record, Spread, Worker, interleave, pick, ratio, say, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell, missing, verdict
from mnist_zoo import list_models
from mnist_zoo.machine import cores
from mnist_zoo.plots.tables import markdown

TITLE = "GPU"
ZOO, BF16, BARE, COMPILED = "this library", "this library, bf16-mixed", "bare loop, all tuned", "the same, compiled"
CAPTURED, USUAL = "the same, captured as a CUDA graph", "the usual way"
FULL = ("mlp", "lenet5", "cnn", "resnet18")  # with all contenders; the other networks only with the bare loop
BATCH_SIZES = (64, 512, 4096)
GOAL = 0.7  # least ratio over the captured loop at batch 512, for mlp, lenet5 and cnn
JOBS = (1, 2, 4, 8, 16, 32)
NONE = {"group": "device", "contender": "GPU", "missing": "no CUDA device: not measured"}


def measure(settings: Settings) -> list[Record]:
    if not torch.cuda.is_available():
        say(NONE["missing"])
        return [NONE]
    records: list[Record] = []
    for model in FULL if settings.quick else [*FULL, *(name for name in list_models() if name not in FULL)]:
        for batch_size in BATCH_SIZES:
            records += interleave(f"{model}, batch {batch_size}", _contenders(model, batch_size, settings), settings)
    for model in ("mlp", "cnn"):
        records += synchronised(model, settings, "cuda")
        for jobs in (count for count in JOBS if count <= cores()):
            records += _together(model, jobs, settings)
    return records


def _contenders(model: str, batch_size: int, settings: Settings) -> list[Contender]:
    common: dict[str, Any] = {
        "model": model,
        "batch_size": batch_size,
        "root": str(settings.data_root),
        "fraction": 1.0,
    }
    tuned = common | {"device": "cuda", "tuned": True, "fused": True}
    found = [
        throughput.zoo(ZOO, settings, model, batch_size, 1.0, device="cuda"),
        Contender(BARE, "benchmarks.contenders.bare", tuned),
    ]
    if model in FULL:
        usual = common | {"device": "cuda", "fraction": 0.1, "folder": settings.folder("usual")}
        found += [
            throughput.zoo(BF16, settings, model, batch_size, 1.0, "trainer.precision=bf16-mixed", device="cuda"),
            Contender(COMPILED, "benchmarks.contenders.bare", tuned | {"compiled": True}),
            Contender(CAPTURED, "benchmarks.contenders.captured", common),
            Contender(USUAL, "benchmarks.contenders.usual", usual),
        ]
    return found


def synchronised(model: str, settings: Settings, device: str) -> list[Record]:
    """Return one record: how often an epoch of the real command waits for its device."""
    options = throughput.zoo(ZOO, settings, model, 64, 0.2, device=device).options
    contender = Contender(ZOO, "benchmarks.contenders.synchronisations", options)
    with Worker(contender, settings) as worker:
        worker.answer()
        return [{"group": f"{model}, waits", "contender": ZOO, "round": 0} | worker.turn()]


def _together(model: str, jobs: int, settings: Settings) -> list[Record]:
    """Let several jobs train at once; return one record a round, with all their images and the slowest one's time."""
    records: list[Record] = []
    with ExitStack() as stack:
        contenders = [throughput.zoo(ZOO, settings, model, 64, 1.0, device="cuda") for _ in range(jobs)]
        workers = [stack.enter_context(Worker(contender, settings)) for contender in contenders]
        for worker in workers:
            worker.answer()
        for number in range(-1, settings.rounds):
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
    return [
        "Images per second of training, in epochs after the warm-up; the bare loops train this library's network.",
        "",
        *_speeds([record for record in records if ", batch " in record["group"]]),
        "",
        "Several jobs of batch size 64 at once on one GPU, and the sum of their images/s:",
        "",
        *_jobs([record for record in records if record["group"].endswith(", jobs")]),
        "",
        *(line for r in records if r["group"].endswith(", waits") for line in (waits(r), "")),
    ]


def _speeds(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for group, name in dict.fromkeys((record["group"], record["contender"]) for record in records):
        if missing(records, group, name):
            body.append((group, name, missing(records, group, name), "", ""))
            continue
        over = None if name == ZOO else ratio(records, group, ZOO, name)
        model, _, batch = group.partition(", batch ")
        has_goal = name == CAPTURED and batch == "512" and model != "resnet18"
        of_own = f"{Spread.of(map(speed, pick(records, group, name).values())).median:,.0f}"
        body.append((group, name, of_own, cell(over), verdict(over, GOAL) if has_goal else ""))
    return markdown(("network", "contender", "images/s", "this library over it", "goal"), body)


def _jobs(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for group, jobs in dict.fromkeys((record["group"], record["contender"]) for record in records):
        total = Spread.of(map(speed, pick(records, group, jobs).values()))
        one = Spread.of(map(speed, pick(records, group, "1").values()))
        body.append((group.partition(",")[0], jobs, f"{total.median:,.0f}", f"{total.median / one.median:.2f}"))
    return markdown(("network", "jobs", "images/s", "times one job's"), body)


def waits(record: Record) -> str:
    """Return a sentence about how often an epoch waits for the device."""
    counts = ", ".join(f"`{name}` {record[name]:g}" for name in synchronisations.WAITS)
    model = record["group"].partition(",")[0]
    return (
        f"Waits of `{model}` in the training part of an epoch of {record['steps']:g} steps, by the profiler: {counts}."
    )
