"""The gain of each optimisation of speed in the real command: all of them, over the same without that one."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.parts.throughput import ZOO, zoo
from benchmarks.rounds import Contender, Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell
from mnist_zoo.plots.tables import markdown

TITLE = "The gain of each optimisation in the real command"
EVERYTHING = "all (speed=none)"
SHRINKING = 4  # epochs until the penalty of cnn_l2 has shrunk some weights to subnormal numbers


class Case(NamedTuple):
    """A network, its batch size, its share of the 55,000 training images, and optimisations to measure with it.

    Attributes:
        optimisations: names of `mnist_zoo.speed.OPTIMISATIONS`, each taken out on its own.
        everything: whether to take out all optimisations as well.
        warm_up: epochs before those that count.
    """

    model: str
    batch_size: int
    fraction: float
    optimisations: tuple[str, ...]
    everything: bool = False
    warm_up: int = 1


CONVOLUTIONAL = ("fused", "channels_last", "pool_first", "patches", "crop", "flatten", "memory")
CASES = (
    Case("mlp", 64, 1.0, ("fused", "memory", "several_steps", "cuda_check"), everything=True),
    Case("lenet5", 64, 0.25, ("fused", "channels_last", "flatten", "memory", "several_steps"), everything=True),
    Case("cnn", 64, 0.25, (*CONVOLUTIONAL, "several_steps"), everything=True),
    Case("cnn", 128, 0.25, (*CONVOLUTIONAL, "several_steps"), everything=True),
    Case("cnn", 512, 0.25, CONVOLUTIONAL, everything=True),
    Case("cnn_dropout", 64, 0.25, ("patches", "crop", "dropout"), everything=True),
    Case("two_conv", 512, 0.06, ("memory",)),
    Case("resnet18", 64, 0.04, ("fused", "memory"), everything=True),
    Case("resnet18", 128, 0.04, ("memory",)),
    Case("resnet18", 512, 0.08, ("memory",)),
    Case("googlenet", 64, 0.02, ("channels_last",)),
    Case("cnn_l2", 64, 1.0, ("subnormals",), warm_up=SHRINKING),
)
QUICK = slice(2, 3)  # of the cases: cnn, batch 64


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    for case in settings.select(CASES, QUICK):
        warm_up = 1 if settings.quick else case.warm_up
        records += interleave(f"{case.model}, batch {case.batch_size}", contenders(case, settings), settings, warm_up)
    return records


def contenders(case: Case, settings: Settings) -> list[Contender]:
    """Return the real command, and the same without each optimisation of the case."""
    common = (settings, case.model, case.batch_size, 0.02 if settings.quick else case.fraction)
    without = [zoo(name, *common, f"speed.off=[{name}]") for name in case.optimisations]
    everything = [zoo(EVERYTHING, *common, "speed=none")] if case.everything else []
    return [zoo(ZOO, *common), *without, *everything]


def render(records: list[Record]) -> list[str]:
    lines = [
        "The real command, and the same without one optimisation (`speed.off=[name]`) or without all (`speed=none`). "
        "The gain is the images/s of training with the optimisation over those without it; names are those of the "
        "version that was measured. An optimisation that needs another one is taken out together with it: *patches* "
        "needs *pool_first* and *channels_last*, and *flatten* needs *channels_last*. The gain of *subnormals* is "
        f"measured after {SHRINKING} epochs, when the penalty has shrunk some weights to such numbers.",
        "",
    ]
    body: list[tuple[object, ...]] = []
    for group in dict.fromkeys(record["group"] for record in records):
        own = pick(records, group, ZOO).values()
        body.append((group, "(all optimisations)", f"{Spread.of(map(speed, own)).median:,.0f} images/s", ""))
        for name in dict.fromkeys(r["contender"] for r in records if r["group"] == group and r["contender"] != ZOO):
            gains = ratio(records, group, ZOO, name), ratio(records, group, ZOO, name, cpu_speed)
            body.append((group, name, *map(cell, gains)))
    return lines + markdown(("network", "without", "gain", "by processor time"), body)
