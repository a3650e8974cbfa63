"""PGD with 40 steps on `cnn`, 1,000 images: this library's beside foolbox's."""

from __future__ import annotations

from statistics import median

from benchmarks.rounds import Contender, Record, Spread, cpu_speed, interleave, pick, ratio
from benchmarks.settings import Settings
from benchmarks.tables import cell, missing, verdict
from mnist_zoo.plots.tables import markdown

TITLE = "Attacks"
OURS, FOOLBOX = "this library", "foolbox"
EPSILONS = (0.1, 0.2, 0.3)
GOAL = 2


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    for epsilon in EPSILONS[-1:] if settings.quick else EPSILONS:
        options = {"epsilon": epsilon, "count": 50 if settings.quick else 1000, "root": str(settings.data_root)}
        contenders = [
            Contender(name, "benchmarks.contenders.attacks", {"kind": kind, **options})
            for name, kind in ((OURS, "zoo"), (FOOLBOX, "foolbox"))
        ]
        records += interleave(_group(epsilon), contenders, settings, warm_up=0)
    return records


def _group(epsilon: float) -> str:
    return f"PGD-40, epsilon {epsilon:g}"


def render(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for epsilon in EPSILONS:
        group = _group(epsilon)
        ours, theirs = pick(records, group, OURS), pick(records, group, FOOLBOX)
        if not ours:
            continue
        over = ratio(records, group, OURS, FOOLBOX, cpu_speed)
        seconds = [
            Spread.of(record["cpu_seconds"] for record in each.values()) if each else None for each in (ours, theirs)
        ]
        accuracies = [
            f"{median(record['accuracy'] for record in each.values()):.3f}" if each else "-" for each in (ours, theirs)
        ]
        reason = missing(records, group, FOOLBOX)
        body.append((f"{epsilon:g}", *accuracies, *map(cell, seconds), cell(over), reason or verdict(over, GOAL)))
    header = ("epsilon", "accuracy", "foolbox's", "s", "foolbox's s", "this library over foolbox", "goal")
    return [
        "PGD in the L-inf norm with 40 steps of 2.5 epsilon / 40 from a random start, on the first 1,000 test images "
        "and the shipped `cnn`; seconds of processor time. This library stops working on broken images, takes no "
        "gradients of the parameters, and uses the optimised network; foolbox gets the network as `create_model` gives "
        "it. The time of this library is that of the whole test, with random noise and the attack with epsilon 1 on "
        "200 images.",
        "",
        *markdown(header, body),
    ]
