"""Time and memory of a training against the number of images, the batch size and the number of epochs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from benchmarks import data
from benchmarks.rounds import Record, Spread, run_python, say
from benchmarks.settings import Settings
from mnist_zoo.plots.style import look
from mnist_zoo.plots.tables import markdown
from mnist_zoo.runs import read_metrics

TITLE = "Cost against work"
MODELS = ("mlp", "cnn")
BATCH_SIZE = 128
AXES = {  # what varies, and its values
    "images": (10_000, 30_000, 100_000, 300_000, 600_000),
    "batch size": (16, 64, 256, 1024, 4096),
    "epochs": (1, 2, 4, 8, 16),
}
QUICK = {"images": (2_000, 4_000), "batch size": (64, 256), "epochs": (1, 2)}
IMAGES = 10_000  # while another axis varies
ROUNDS = 3


def measure(settings: Settings) -> list[Record]:
    axes, models = (QUICK, MODELS[:1]) if settings.quick else (AXES, MODELS)
    plan = [(model, axis, value) for model in models for axis, values in axes.items() for value in values]
    records: list[Record] = []
    for number in range(1 if settings.quick else min(ROUNDS, settings.rounds)):
        for model, axis, value in plan:
            work = {"images": IMAGES, "batch size": BATCH_SIZE, "epochs": 1} | {axis: value}
            done = {"group": axis, "contender": model, "round": number, "value": value} | _run(settings, model, work)
            records.append(done)
            say(f"{model}, {value:,} {axis}, round {number + 1}: {done['seconds']:.1f} s")
    return records


def _run(settings: Settings, model: str, work: dict[str, int]) -> Record:
    """Train in a new process, and return the seconds of the training and of the process, and peak memory in bytes."""
    root = settings.scratch / f"repeated-{work['images']}"
    if not root.exists():
        data.repeated(settings.data_root, work["images"], root)
    folder = settings.folder("scaling")
    given = [f"model={model}", f"batch_size={work['batch size']}", f"epochs={work['epochs']}", "trainer=cpu"]
    given += [f"data.root='{root}'", "data.fallback=null", f"hydra.run.dir='{folder}'"]
    used = run_python(["-m", "mnist_zoo", *given], settings.environment, folder)
    metrics = read_metrics(Path(folder))
    assert metrics is not None  # the command has ended with status 0
    return {
        "seconds": metrics["fit_seconds"],
        "process_seconds": used["seconds"],
        "cpu_seconds": used["cpu_seconds"],
        "bytes": used["bytes"],
        "reported_bytes": metrics["peak_memory_bytes"],
    }


def render(records: list[Record]) -> list[str]:
    body = []
    for axis, model in dict.fromkeys((record["group"], record["contender"]) for record in records):
        points = summary(records, axis, model)
        first, seconds, memory = points[0]
        for value, now, held in points:
            times = (f"{value / first:g}", str(now), f"{now.median / seconds.median:.2f}")
            body.append((axis, model, f"{value:,}", *times, _mb(held.median), _mb(held.median - memory.median)))
    header = ("what varies", "network", "value", "work x", "training, seconds", "time x", "peak memory", "more")
    return [
        f"Each row is a new process of the real command; training images are those of MNIST, repeated. What does not "
        f"vary is {IMAGES:,} images (a twelfth of them for validation), batch size {BATCH_SIZE} and 1 epoch. Seconds "
        "are `fit_seconds` of `metrics.json`, which include the first epoch's warm-up. Memory is the process's largest "
        "resident size.",
        "",
        *markdown(header, body),
    ]


def _mb(size: float) -> str:
    return f"{round(size / 2**20):,} MB"


class Point(NamedTuple):
    """A value of an axis, and the seconds of training and bytes of memory over the rounds."""

    value: int
    seconds: Spread
    memory: Spread


def summary(records: list[Record], axis: str, model: str) -> list[Point]:
    """Return the points of an axis, in order of their values."""
    own = [record for record in records if record["group"] == axis and record["contender"] == model]
    return [
        Point(value, *(Spread.of(r[key] for r in own if r["value"] == value) for key in ("seconds", "bytes")))
        for value in sorted({record["value"] for record in own})
    ]


def draw(records: list[Record]) -> Figure:
    """Return a plot of time (both scales logarithmic: proportional is a slope of 1) and one of memory (both linear)."""
    figure = Figure(figsize=(10, 6))
    axes = list(dict.fromkeys(record["group"] for record in records))
    panels = figure.subplots(2, len(axes), squeeze=False, sharey="row")
    for column, axis in enumerate(axes):
        for index, model in enumerate(dict.fromkeys(record["contender"] for record in records)):
            points = summary(records, axis, model)
            values = [point.value for point in points]
            colour, line, marker = look(index)
            for row, spreads in enumerate(([p.seconds for p in points], [p.memory for p in points])):
                reach = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
                panels[row][column].errorbar(
                    values, [s.median for s in spreads], reach, color=colour, linestyle=line, marker=marker, label=model
                )
        panels[0][column].set_xscale("log")
        for panel in panels[:, column]:
            panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panels[0][column].set_title(axis.capitalize())
        panels[1][column].set_xlabel(axis)
        panels[1][column].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[0][column].set_yscale("log")
    panels[0][0].set_ylabel("training, seconds")
    panels[1][0].set_ylabel("peak memory")
    panels[1][0].set_ylim(bottom=0)
    panels[1][0].yaxis.set_major_formatter(EngFormatter(unit="B"))
    panels[0][0].legend()
    return figure
