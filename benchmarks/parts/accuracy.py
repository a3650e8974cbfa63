"""Is the fast path as accurate as the plain one? The same seeds with the levers and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.contenders import LEVERS
from benchmarks.rounds import Contender, Record, interleave, pick
from benchmarks.settings import Settings
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.statistics import mean_interval

TITLE = "Accuracy of the fast and of the plain path"
FAST, PLAIN = "fast", "plain"
SEEDS, EPOCHS = 5, 3
CASES = (("mlp", 64), ("cnn", 128))


def measure(settings: Settings) -> list[Record]:
    records = []
    seeds, fraction, epochs = (2, 0.02, 1) if settings.quick else (SEEDS, 1.0, EPOCHS)
    for model, batch_size in CASES:
        given = [f"model={model}", f"batch_size={batch_size}", f"epochs={epochs}", "trainer=cpu", "logger=none"]
        given += [f"data.root='{settings.data_root}'", "data.fallback=null", f"data.train_fraction={fraction}"]
        contenders = [
            Contender(
                name,
                "benchmarks.contenders.seeds",
                {"overrides": given, "folder": settings.folder("seeds"), "off": list(off)},
            )
            for name, off in ((FAST, ()), (PLAIN, LEVERS))
        ]
        group = f"{model}, batch {batch_size}, {epochs} epoch{'s' if epochs > 1 else ''}"
        records += interleave(group, contenders, replace(settings, rounds=seeds), warm_up=0)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "Test accuracy in per cent, the epoch chosen on validation; *plain* is without any of the levers above. The "
        "seeds are paired: same first weights, same order of the images. Intervals are Student's of 95 %.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        fast, plain = (
            100 * np.array([record["test_acc"] for _, record in sorted(pick(records, group, name).items())])
            for name in (FAST, PLAIN)
        )
        mean, half = mean_interval(fast - plain)
        words = "covers no difference" if abs(mean) <= half else "does not cover 0: they differ"
        difference = f"{mean:+.3f} ± {half:.3f}, {words}"
        means = (f"{values.mean():.3f} ± {mean_interval(values)[1]:.3f}" for values in (fast, plain))
        body.append((group, len(fast), *means, difference))
    return lines + markdown(("network", "seeds", FAST, PLAIN, "difference"), body)
