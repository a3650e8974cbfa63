"""Corruptions: images per second of each."""

from __future__ import annotations

from benchmarks.rounds import Contender, Record, Spread, interleave, pick
from benchmarks.settings import Settings
from benchmarks.tables import verdict
from mnist_zoo.plots.tables import markdown
from mnist_zoo.robustness.corruptions import CORRUPTIONS

TITLE = "Corruptions"
GROUP, OURS = "corruptions", "this library"
SLOW = ("glass_blur", "canny_edges")  # have no goal: their pixels depend on one another
GOAL = 20_000


def measure(settings: Settings) -> list[Record]:
    options = {"count": 256 if settings.quick else 10_000, "root": str(settings.data_root)}
    contender = Contender(OURS, "benchmarks.contenders.corruptions", options)
    return interleave(GROUP, [contender], settings)


def render(records: list[Record]) -> list[str]:
    body = []
    for name in CORRUPTIONS:
        speed = Spread.of(record[name] for record in pick(records, GROUP, OURS).values())
        goal = "" if name in SLOW else verdict(speed, GOAL).replace(f"{GOAL:g}", f"{GOAL:,}")
        body.append((name.replace("_", " "), f"{speed.median:,.0f} [{speed.low:,.0f}, {speed.high:,.0f}]", goal))
    return [
        "Images of 28x28 per second of processor time, 10,000 in one call, random numbers included.",
        "",
        *markdown(("corruption", "images/s", "goal"), body),
    ]
