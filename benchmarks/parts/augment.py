"""Augmentation: images a second beside torchvision's, and what it costs a training of `cnn`."""

from __future__ import annotations

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
    records = []
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
    alone = {"preset": "affine", "kind": "zoo", "count": many, "root": root}
    contenders = [
        zoo(PLAIN, settings, "cnn", 128, fraction),
        zoo(AUGMENTED, settings, "cnn", 128, fraction, "augment=affine"),
        Contender(ALONE, "benchmarks.contenders.augmentation", alone),
    ]
    return records + interleave(TRAINING, contenders, settings)


def render(records: list[Record]) -> list[str]:
    body = []
    for preset in ("affine", "thesis"):
        for name in (BATCHED, TENSOR, PIL):
            own = Spread.of(map(speed, pick(records, preset, name).values()))
            over = None if name == BATCHED else ratio(records, preset, BATCHED, name)
            aim = verdict(own, GOAL).replace(f"{GOAL:g}", f"{GOAL:,}") if name == BATCHED else ""
            rates = f"{own.median:,.0f} [{own.low:,.0f}, {own.high:,.0f}]"
            body.append((preset, name, rates, cell(over), aim))
    kept, share = ratio(records, TRAINING, AUGMENTED, PLAIN), ratio(records, TRAINING, AUGMENTED, ALONE)
    return [
        "Images a second on one thread: shuffled, gathered, augmented and scaled for this library; the transform alone "
        "for torchvision (`RandomAffine`, with the flips of `thesis`).",
        "",
        *markdown(("preset", "how", "images/s", "this library over it", "aim"), body),
        "",
        f"Training `{TRAINING}` with `augment=affine` has {kept} of the images/s without, and the augmentation takes "
        f"{share} of the epoch's time.",
    ]
