"""Test accuracy of the same seeds with the optimisations of speed and without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.rounds import Contender, Record, interleave, pick
from benchmarks.settings import Settings
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.statistics import mean_interval

TITLE = "Accuracy with and without the optimisations"
FAST, PLAIN = "fast", "plain"
SEEDS, EPOCHS = 5, 3
CASES = (("mlp", 64), ("cnn", 128))


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    seeds, fraction, epochs = (2, 0.02, 1) if settings.quick else (SEEDS, 1.0, EPOCHS)
    for model, batch_size in CASES:
        given = [f"model={model}", f"batch_size={batch_size}", f"epochs={epochs}", "trainer=cpu", "logger=none"]
        given += [f"data.root='{settings.data_root}'", "data.fallback=null", f"data.train_fraction={fraction}"]
        contenders = [
            Contender(
                name,
                "benchmarks.contenders.seeds",
                {"overrides": [*given, f"speed={speed}"], "folder": settings.folder("seeds")},
            )
            for name, speed in ((FAST, "full"), (PLAIN, "none"))
        ]
        group = f"{model}, batch {batch_size}, {epochs} epoch{'s' if epochs > 1 else ''}"
        records += interleave(group, contenders, replace(settings, rounds=seeds), warm_up=0)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "Test accuracy in per cent of the epoch chosen on validation. *Fast* is the default, *plain* has none of the "
        "optimisations. Both have the same seeds, so the same initial weights and order of images. Intervals are "
        "Student's t intervals of 95 %.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        fast, plain = (
            100 * np.array([record["test_acc"] for _, record in sorted(pick(records, group, name).items())])
            for name in (FAST, PLAIN)
        )
        mean, half = mean_interval(fast - plain)
        words = "the interval contains 0" if abs(mean) <= half else "the interval does not contain 0: they differ"
        difference = f"{mean:+.3f} ± {half:.3f}, {words}"
        means = (f"{values.mean():.3f} ± {mean_interval(values)[1]:.3f}" for values in (fast, plain))
        body.append((group, len(fast), *means, difference))
    return lines + markdown(("network", "seeds", FAST, PLAIN, "difference"), body)
