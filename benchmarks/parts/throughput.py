"""Training throughput of the real command beside bare loops, the usual way and Keras."""

from __future__ import annotations

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
IMAGES = 55_000  # of MNIST for training, beside 5,000 for validation


@dataclass(frozen=True)
class Case:
    """A network, its batch size, a share of MNIST that makes an epoch of some seconds, and the goals.

    Attributes:
        fraction: share of the `IMAGES`, for all but the usual way.
        usual: share of the batches for the usual way, which is slow.
        goals: the least ratio of this library over a contender that is wanted.
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
    """Return the contenders of a case; all have the same network, batch size and number of threads."""
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
    device: str = "cpu",
) -> Contender:
    """Return the real command as a contender."""
    given = [f"model={model}", f"batch_size={batch_size}", f"data.root='{settings.data_root}'", "data.fallback=null"]
    given += [f"data.train_fraction={fraction}", f"trainer={device}", *overrides]
    return Contender(name, "benchmarks.contenders.zoo", {"overrides": given, "folder": settings.folder("run")})


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    for case in settings.select(CASES):
        records += interleave(case.group, contenders(case, settings), settings)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "Images per second of training, in epochs after the warm-up. This library runs with logging, validation and "
        "checkpoints; its images/s are those of the training part of the epoch, as in `curves.csv`. The last column is "
        f"what validation on 5,000 images, logging and checkpoints add to an epoch of all {IMAGES:,} training images, "
        "which was calculated where the epochs measured are shorter. The bare loops only train; *all tuned* has fused "
        "Adam and this library's optimisations of networks and processes. Processor time is affected less by other "
        "load on the cores.",
        "",
    ]
    header = (
        "network",
        "contender",
        "images/s",
        "this library over it",
        "by processor time",
        "goal",
        "rest of an epoch",
    )
    body: list[tuple[object, ...]] = []
    for case in CASES:
        for name in _names(records, case.group):
            reason = missing(records, case.group, name)
            if reason:
                body.append((case.group, name, reason, "", "", "", ""))
                continue
            own = pick(records, case.group, name).values()
            speed_of_own = f"{Spread.of(map(speed, own)).median:,.0f}"
            if name == ZOO:
                rest = Spread.of((each["whole_seconds"] - each["seconds"]) * speed(each) / IMAGES for each in own)
                body.append((case.group, name, speed_of_own, "1", "1", "", f"+{100 * rest.median:.1f} %"))
                continue
            over, by_cpu = (ratio(records, case.group, ZOO, name, metric) for metric in (speed, cpu_speed))
            body.append(
                (case.group, name, speed_of_own, cell(over), cell(by_cpu), verdict(over, case.goals.get(name)), "")
            )
    return lines + markdown(header, body)


def _names(records: list[Record], group: str) -> list[str]:
    return list(dict.fromkeys(record["contender"] for record in records if record["group"] == group))


def draw(records: list[Record]) -> Figure:
    """Return a plot with one panel for each network: the speed of each contender relative to this library's."""
    groups = list(dict.fromkeys(record["group"] for record in records))
    figure = Figure(figsize=(9, 1 + 1.1 * len(groups)))
    panels = figure.subplots((len(groups) + 1) // 2, 2, squeeze=False).flat
    for panel, group in zip(panels, groups, strict=False):
        found = {name: ratio(records, group, name, ZOO) for name in _names(records, group)[::-1]}
        names = [name for name, spread in found.items() if spread]  # without those that could not run
        spreads = [spread for spread in found.values() if spread]
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
