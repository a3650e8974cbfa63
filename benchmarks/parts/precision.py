"""The speed of mixed precision: the real command in bfloat16 beside the same in float32."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.parts.throughput import ZOO, zoo
from benchmarks.rounds import Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell
from mnist_zoo.plots.tables import markdown

TITLE = "Mixed precision"
MIXED = "bf16-mixed"


class Case(NamedTuple):
    """A network, its batch size, and its share of the 55,000 training images."""

    model: str
    batch_size: int
    fraction: float


CASES = (
    Case("mlp", 64, 1.0),
    Case("cnn", 128, 0.25),
    Case("double_conv", 128, 0.06),
    Case("resnet18", 64, 0.02),
)


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    for model, batch_size, fraction in settings.select(CASES):
        case = (settings, model, batch_size, 0.02 if settings.quick else fraction)
        contenders = [zoo(ZOO, *case), zoo(MIXED, *case, f"trainer.precision={MIXED}")]
        records += interleave(f"{model}, batch {batch_size}", contenders, settings)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        f"Images/s of training with `trainer.precision={MIXED}`, as a multiple of the default, float32. It is faster "
        "on processors that multiply bfloat16 matrices (flag `amx_bf16` in `lscpu`), most for large convolutions.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        plain = Spread.of(map(speed, pick(records, group, ZOO).values()))
        over = ratio(records, group, MIXED, ZOO), ratio(records, group, MIXED, ZOO, cpu_speed)
        body.append((group, f"{plain.median:,.0f} images/s", *map(cell, over)))
    return lines + markdown(("network", "float32", f"{MIXED} over it", "by processor time"), body)
