"""Training throughput of the real command beside bare loops, the usual way and Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.rounds import Contender, Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import Settings
from benchmarks.tables import cell, missing, verdict
from mnist_zoo.plots.style import COLOURS
from mnist_zoo.plots.tables import markdown

TITLE = "Training throughput"
ZOO, EAGER, FUSED, TUNED = "this library", "bare loop, default Adam", "bare loop, fused Adam", "bare loop, all tuned"
USUAL, KERAS = "the usual way", "Keras fit"


@dataclass(frozen=True)
class Case:
    """A network, its batch size, the share of MNIST that makes an epoch of some seconds, and what is aimed at.

    Attributes:
        fraction: of the 55,000 training images for all but the usual way.
        usual: of the batches for the usual way, which is slow.
        goals: least ratio of this library over a contender.
    """

    model: str
    batch_size: int
    fraction: float
    usual: float
    goals: dict[str, float]

    @property
    def group(self) -> str:
        return f"{self.model}, batch {self.batch_size}"


CASES = (
    Case("mlp", 64, 1.0, 0.1, {FUSED: 0.9, USUAL: 8}),
    Case("cnn", 128, 0.25, 0.1, {KERAS: 1.1, USUAL: 3}),
    Case("lenet5", 64, 0.5, 0.1, {EAGER: 1.15}),
    Case("resnet18", 64, 0.02, 0.02, {EAGER: 1.15}),
)


def contenders(case: Case, settings: Settings) -> list[Contender]:
    """Return all who run: the same network, batch size and number of threads for each."""
    fraction, usual = (0.02, 0.02) if settings.quick else (case.fraction, case.usual)
    root = str(settings.data_root)
    common = {"model": case.model, "batch_size": case.batch_size, "root": root, "fraction": fraction}
    found = [
        zoo(ZOO, settings, case.model, case.batch_size, fraction),
        Contender(EAGER, "benchmarks.contenders.bare", common),
        Contender(FUSED, "benchmarks.contenders.bare", common | {"fused": True}),
        Contender(TUNED, "benchmarks.contenders.bare", common | {"fused": True, "tuned": True}),
        Contender(
            USUAL, "benchmarks.contenders.usual", common | {"fraction": usual, "folder": settings.folder("usual")}
        ),
    ]
    if case.model in ("mlp", "cnn"):
        options = common | {"threads": settings.threads}
        found.append(Contender(KERAS, "benchmarks.contenders.keras_fit", options, settings.keras_python))
    return found


def zoo(
    name: str,
    settings: Settings,
    model: str,
    batch_size: int,
    fraction: float,
    *overrides: str,
    off: Sequence[str] = (),
    device: str = "cpu",
) -> Contender:
    """Return the real command as a contender, with the levers `off` taken out."""
    given = [f"model={model}", f"batch_size={batch_size}", f"data.root='{settings.data_root}'", "data.fallback=null"]
    given += [f"data.train_fraction={fraction}", f"trainer={device}", *overrides]
    return Contender(
        name, "benchmarks.contenders.zoo", {"overrides": given, "folder": settings.folder("run"), "off": list(off)}
    )


def measure(settings: Settings) -> list[Record]:
    records = []
    for case in CASES:
        records += interleave(case.group, contenders(case, settings), settings)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "Images a second in training, of steady epochs: this library's is the training part of the epoch that "
        "`curves.csv` shows, with logging, validation and checkpoints on; validation and checkpoint are in the last "
        "column. The bare loops do nothing else than train; *all tuned* has this library's network (pooling first, "
        "its layout), fused Adam, freed memory kept and subnormals flushed. By processor time a neighbour on the cores "
        "counts less.",
        "",
    ]
    header = ("network", "contender", "images/s", "this library over it", "by processor time", "aim", "whole epoch")
    body = []
    for case in CASES:
        for name in dict.fromkeys(record["contender"] for record in records if record["group"] == case.group):
            reason = missing(records, case.group, name)
            if reason:
                body.append((case.group, name, reason, "", "", "", ""))
                continue
            own = pick(records, case.group, name).values()
            rate = f"{Spread.of(map(speed, own)).median:,.0f}"
            if name == ZOO:
                whole = Spread.of(record["whole_seconds"] / record["seconds"] for record in own)
                body.append((case.group, name, rate, "1", "1", "", f"{whole.median:.2f} x"))
                continue
            over, by_cpu = (ratio(records, case.group, ZOO, name, figure) for figure in (speed, cpu_speed))
            body.append((case.group, name, rate, cell(over), cell(by_cpu), verdict(over, case.goals.get(name)), ""))
    return lines + markdown(header, body)


def draw(records: list[Record]) -> Figure:
    """Return one panel a network: how fast each contender is, this library being 1."""
    groups = list(dict.fromkeys(record["group"] for record in records))
    figure = Figure(figsize=(9, 1 + 1.1 * len(groups)))
    panels = figure.subplots((len(groups) + 1) // 2, 2, squeeze=False).flat
    for panel, group in zip(panels, groups, strict=False):
        names = dict.fromkeys(record["contender"] for record in records if record["group"] == group)
        names = [name for name in names if pick(records, group, name)][::-1]
        spreads = [ratio(records, group, name, ZOO) for name in names]
        medians = [spread.median for spread in spreads]
        reach = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
        colours = [COLOURS[0] if name == ZOO else "#bbbbbb" for name in names]
        panel.barh(names, medians, xerr=reach, color=colours, error_kw={"linewidth": 1})
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_title(group)
        panel.set_xlabel("images/s, this library = 1")
        panel.grid(axis="y", visible=False)
    for panel in list(panels):
        panel.set_visible(False)
    return figure
