"""Test accuracy of the same seeds with the optimisations of speed, without them, and in bfloat16."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.rounds import Contender, Record, interleave, pick
from benchmarks.settings import Settings
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.statistics import mean_interval

TITLE = "Accuracy with and without the optimisations, and in bfloat16"
FAST, PLAIN, BFLOAT16 = "fast", "plain", "bfloat16"
OVERRIDES = {FAST: "speed=full", PLAIN: "speed=none", BFLOAT16: "trainer.precision=bf16-mixed"}
SEEDS, EPOCHS = 5, 3
CASES = (("mlp", 64, (PLAIN,)), ("cnn", 128, (PLAIN, BFLOAT16)), ("cnn_strided", 128, (PLAIN, BFLOAT16)))


def measure(settings: Settings) -> list[Record]:
    records: list[Record] = []
    seeds, fraction, epochs = (2, 0.02, 1) if settings.quick else (SEEDS, 1.0, EPOCHS)
    for model, batch_size, others in CASES:
        given = [f"model={model}", f"batch_size={batch_size}", f"epochs={epochs}", "trainer=cpu", "logger=none"]
        given += [f"data.root='{settings.data_root}'", "data.fallback=null", f"data.train_fraction={fraction}"]
        contenders = [
            Contender(
                name,
                "benchmarks.contenders.seeds",
                {"overrides": [*given, OVERRIDES[name]], "folder": settings.folder("seeds")},
            )
            for name in (FAST, *others)
        ]
        group = f"{model}, batch {batch_size}, {epochs} epoch{'s' if epochs > 1 else ''}"
        records += interleave(group, contenders, replace(settings, rounds=seeds), warm_up=0)
    return records


def render(records: list[Record]) -> list[str]:
    lines = [
        "Test accuracy in per cent of the epoch chosen on validation. *Fast* is the default, *plain* has none of the "
        "optimisations, *bfloat16* is `trainer.precision=bf16-mixed`. All have the same seeds, so the same initial "
        "weights and order of images. Intervals are Student's t intervals of 95 %, those of differences over paired "
        "seeds.",
        "",
    ]
    body = []
    for group in dict.fromkeys(record["group"] for record in records):
        fast = _accuracies(records, group, FAST)
        for name in dict.fromkeys(record["contender"] for record in records if record["group"] == group):
            accuracies = _accuracies(records, group, name)
            mean = f"{accuracies.mean():.3f} ± {mean_interval(accuracies)[1]:.3f}"
            body.append((group, name, len(accuracies), mean, "" if name == FAST else _difference(accuracies - fast)))
    return lines + markdown(("network", "how", "seeds", "test %", "difference to fast"), body)


def _accuracies(records: list[Record], group: str, name: str) -> np.ndarray:
    """Return the test accuracy of each seed, per cent, (S,)."""
    return 100 * np.array([record["test_acc"] for _, record in sorted(pick(records, group, name).items())])


def _difference(differences: np.ndarray) -> str:
    mean, half = mean_interval(differences)
    words = "the interval contains 0" if abs(mean) <= half else "the interval does not contain 0: they differ"
    return f"{mean:+.3f} ± {half:.3f}, {words}"
