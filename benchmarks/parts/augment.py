"""Augmentation: images per second beside torchvision's, and its share of the training time of `cnn`."""

from __future__ import annotations

from typing import Any

from benchmarks.parts.throughput import zoo
from benchmarks.rounds import Contender, Record, Spread, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell, verdict
from mnist_zoo.plots.tables import markdown

TITLE = "Augmentation"
BATCHED, TENSOR, PIL = "this library", "torchvision, a tensor at a time", "torchvision, a PIL image at a time"
PLAIN, AUGMENTED, ALONE = "augment=none", "augment=affine", "affine alone"
TRAINING = "cnn, batch 128"
GOAL = 40_000


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    root = str(settings.data_root)
    many, few = (5_000, 200) if settings.quick else (100_000, 3_000)
    for preset in ("affine", "thesis"):
        contenders = [
            Contender(
                name,
                "benchmarks.contenders.augmentation",
                {"preset": preset, "kind": kind, "count": count, "root": root},
            )
            for name, kind, count in ((BATCHED, "zoo", many), (TENSOR, "tensor", few), (PIL, "pil", few))
        ]
        records += interleave(preset, contenders, settings)
    fraction = 0.02 if settings.quick else 0.5
    affine: dict[str, Any] = {"preset": "affine", "kind": "zoo", "count": many, "root": root}
    contenders = [
        zoo(PLAIN, settings, "cnn", 128, fraction),
        zoo(AUGMENTED, settings, "cnn", 128, fraction, "augment=affine"),
        Contender(ALONE, "benchmarks.contenders.augmentation", affine),
    ]
    return records + interleave(TRAINING, contenders, settings)


def render(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for preset in ("affine", "thesis"):
        for name in (BATCHED, TENSOR, PIL):
            own = Spread.of(map(speed, pick(records, preset, name).values()))
            over = None if name == BATCHED else ratio(records, preset, BATCHED, name)
            goal = verdict(own, GOAL).replace(f"{GOAL:g}", f"{GOAL:,}") if name == BATCHED else ""
            speeds = f"{own.median:,.0f} [{own.low:,.0f}, {own.high:,.0f}]"
            body.append((preset, name, speeds, cell(over), goal))
    kept, share = ratio(records, TRAINING, AUGMENTED, PLAIN), ratio(records, TRAINING, AUGMENTED, ALONE)
    return [
        "Images per second on one thread. This library's include shuffling, gathering, augmentation and scaling; "
        "torchvision's are of the transform alone (`RandomAffine`, and the flips of `thesis`).",
        "",
        *markdown(("preset", "how", "images/s", "this library over it", "goal"), body),
        "",
        f"Training `{TRAINING}` with `augment=affine` runs at {kept} times the images/s of training without it. The "
        f"augmentation alone takes {share} of the epoch's time.",
    ]
