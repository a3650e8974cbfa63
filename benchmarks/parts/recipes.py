"""The recipes for time to an accuracy, trained in turn on this machine."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.rounds import Contender, Record, Spread, interleave, pick, ratio
from benchmarks.settings import Settings
from benchmarks.tables import cell
from mnist_zoo.machine import cores
from mnist_zoo.plots.tables import markdown

TITLE = "Recipes: time to an accuracy"
OLD = "fast99 of version 0.1.0"
RECIPES = {
    OLD: (
        *("model=cnn_strided", "scheduler=onecycle", "lr=0.01", "batch_size=128", "epochs=3", "label_smoothing=0.05"),
        "data.fallback=null",
    ),
    "fast99": ("experiment=fast99",),
    "fast995": ("experiment=fast995",),
    "fast997": ("experiment=fast997",),
}
GROUP, ROUNDS = "recipes", 5


def measure(settings: Settings) -> list[Record]:
    fraction = 0.02 if settings.quick else 1.0
    given = [f"data.root='{settings.data_root}'", f"data.train_fraction={fraction}", "trainer=cpu", "logger=none"]
    contenders = [
        Contender(
            name,
            "benchmarks.contenders.recipe",
            {"overrides": [*words, *given, "progress=none"], "folder": settings.folder("recipe")},
        )
        for name, words in RECIPES.items()
    ]
    # The goals are times on all cores of a machine.
    return interleave(GROUP, contenders, replace(settings, rounds=min(settings.rounds, ROUNDS), threads=cores()))


def render(records: list[Record]) -> list[str]:
    body: list[tuple[object, ...]] = []
    for name in dict.fromkeys(record["contender"] for record in records):
        own = pick(records, GROUP, name).values()
        seconds, processor = (Spread.of(record[key] for record in own) for key in ("seconds", "cpu_seconds"))
        over = None if name == OLD else ratio(records, GROUP, name, OLD, lambda record: record["seconds"])
        body.append((name, seconds, processor, "" if name == OLD else cell(over)))
    return [
        "Seconds of the whole training call, from reading the data to the last checkpoint, without imports and the "
        "test. In this part each worker has a thread on each core. What the recipes reach is in "
        "[results/records.md](../results/records.md).",
        "",
        *markdown(("recipe", "seconds", "seconds of processor time", f"times {OLD}"), body),
    ]
