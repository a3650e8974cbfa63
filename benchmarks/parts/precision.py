"""What bfloat16 gives: the real command in mixed precision beside the same in float32."""

from __future__ import annotations

from benchmarks.parts.throughput import ZOO, zoo
from benchmarks.rounds import Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell
from mnist_zoo.plots.tables import markdown

TITLE = "Mixed precision"
MIXED = "bf16-mixed"
CASES = (  # network, batch size, share of the 55,000 training images
    ("mlp", 64, 1.0),
    ("cnn", 128, 0.25),
    ("double_conv", 128, 0.06),
    ("resnet18", 64, 0.02),
)


def measure(settings: Settings) -> list[Record]:
    records = []
    for model, batch_size, fraction in CASES:
        case = (settings, model, batch_size, 0.02 if settings.quick else fraction)
        contenders = [zoo(ZOO, *case), zoo(MIXED, *case, f"trainer.precision={MIXED}")]
        records += interleave(f"{model}, batch {batch_size}", contenders, settings)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        f"Training with `trainer.precision={MIXED}`, by how many times the images/s of the default, float32. It pays "
        "where the processor multiplies bfloat16 matrices (`amx_bf16` among the flags of `lscpu`), and large "
        "convolutions most.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        plain = Spread.of(map(speed, pick(records, group, ZOO).values()))
        over = ratio(records, group, MIXED, ZOO), ratio(records, group, MIXED, ZOO, cpu_speed)
        body.append((group, f"{plain.median:,.0f} images/s", *map(cell, over)))
    return lines + markdown(("network", "float32", f"{MIXED} over it", "by processor time"), body)
