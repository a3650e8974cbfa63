"""What each lever gives inside the real command: everything on, over the same without that lever."""

from __future__ import annotations

from benchmarks.contenders import LEVERS
from benchmarks.parts.throughput import ZOO, zoo
from benchmarks.rounds import Contender, Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell
from mnist_zoo.plots.tables import markdown

TITLE = "What each lever gives inside the real command"
FUSED, LAYOUT, POOLING, PATCHES, UNSEEN, DROPOUT, MEMORY, SUBNORMALS, STEPS = LEVERS
EVERYTHING = "all of these"
# Network, batch size, share of the 55,000 training images, and the levers that can matter to it.
CASES = (
    ("mlp", 64, 1.0, (FUSED, MEMORY, STEPS)),
    ("lenet5", 64, 0.25, (FUSED, LAYOUT, MEMORY, STEPS)),
    ("cnn", 64, 0.25, (FUSED, LAYOUT, POOLING, PATCHES, UNSEEN, MEMORY, STEPS)),
    ("cnn", 128, 0.25, (FUSED, LAYOUT, POOLING, PATCHES, UNSEEN, MEMORY, STEPS)),
    ("cnn", 512, 0.25, (FUSED, LAYOUT, POOLING, PATCHES, UNSEEN, MEMORY)),
    ("cnn_dropout", 64, 0.25, (PATCHES, UNSEEN, DROPOUT)),
    ("two_conv", 512, 0.06, (MEMORY,)),
    ("resnet18", 64, 0.04, (FUSED, MEMORY)),
    ("resnet18", 128, 0.04, (MEMORY,)),
    ("resnet18", 512, 0.08, (MEMORY,)),
    ("cnn_l2", 64, 1.0, (SUBNORMALS,)),
)
SHRINKING = 4  # epochs until the penalty has shrunk weights of cnn_l2 to subnormal numbers


def measure(settings: Settings) -> list[Record]:
    records = []
    for model, batch_size, fraction, levers in CASES[2:3] if settings.quick else CASES:
        fraction = 0.02 if settings.quick else fraction

        def contender(name: str, off: tuple[str, ...] = (), case=(model, batch_size, fraction)) -> Contender:
            return zoo(name, settings, *case, off=off)

        contenders = [contender(ZOO), *(contender(lever, (lever,)) for lever in levers)]
        if len(levers) > 1:
            contenders.append(contender(EVERYTHING, levers))
        warm_up = SHRINKING if SUBNORMALS in levers and not settings.quick else 1
        records += interleave(f"{model}, batch {batch_size}", contenders, settings, warm_up)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "The real command, and the same with one lever taken out (and with all of them): how many times the images/s "
        "of training it gives. *Several steps a call* is taken out by a callback that does nothing after each batch. "
        "*First stage from patches* needs *channels_last* and *pooling first*, and is taken out with either. "
        f"*Subnormals flushed* matters where weights shrink to nothing: it is measured after {SHRINKING} epochs.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        own = pick(records, group, ZOO).values()
        body.append((group, "(everything on)", f"{Spread.of(map(speed, own)).median:,.0f} images/s", ""))
        for name in dict.fromkeys(r["contender"] for r in records if r["group"] == group and r["contender"] != ZOO):
            over = ratio(records, group, ZOO, name), ratio(records, group, ZOO, name, cpu_speed)
            body.append((group, name, *map(cell, over)))
    return lines + markdown(("network", "lever", "gives", "by processor time"), body)
