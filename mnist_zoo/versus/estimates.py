"""The difference between two configurations in a metric, with its error over seeds and images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from mnist_zoo.confidence import brier, calibration, softmax
from mnist_zoo.errors import InputError
from mnist_zoo.report.difference import PAIRED_FROM, Differences, Noise, Scores, differences, scores
from mnist_zoo.runs import read_curves, read_predictions
from mnist_zoo.versus.attacked import ATTACKS, IMAGES, Attacks


@dataclass(frozen=True)
class Metric:
    """A metric that can be compared.

    Attributes:
        about: what it is, with its unit.
        scale: factor from the library's unit to the unit of the margin and of all texts.
        unit: name of that unit.
        higher: whether a higher value is better.
        margin: default; None if the user has to choose one.
    """

    about: str
    scale: float = 1.0
    unit: str = ""
    higher: bool = True
    margin: float | None = None


METRICS = {
    "accuracy": Metric("accuracy of the chosen epoch", 100.0, "points", margin=0.2),
    "loss": Metric("cross-entropy of the chosen epoch", 1.0, "nats", higher=False),
    "accuracy_at_equal_time": Metric(
        "best accuracy within the training time of the faster side", 100.0, "points", margin=0.2
    ),
    "seconds_to": Metric("training time to the accuracy --target", 1.0, "s", higher=False),
    "epochs_to": Metric("epochs to the accuracy --target", 1.0, "epochs", higher=False),
    "calibration": Metric("expected calibration error", 100.0, "points", higher=False),
    "brier": Metric("Brier score", 1.0, "", higher=False),
    "fgsm": Metric(f"accuracy under FGSM with --epsilon on the first {IMAGES:,} images", 100.0, "points"),
    "pgd": Metric(f"accuracy under PGD with --epsilon on the first {IMAGES:,} images", 100.0, "points"),
}
ACCURACIES = ("accuracy", *ATTACKS)  # metrics that count correct images
OF_IMAGES = (*ACCURACIES, "loss")  # metrics that are means over images: their interval includes the choice of images


@dataclass(frozen=True)
class Estimate:
    """A difference, candidate minus baseline, in the metric's unit.

    Attributes:
        mean: over seeds.
        error: standard error, over seeds and, for metrics in `OF_IMAGES`, images.
        freedom: degrees of freedom of `error`.
        seed_error, image_error: its parts: what more seeds reduce, and what only more images reduce (NaN if the metric
            is no mean over images).
        noise: the variances behind it, in the library's unit; all over seeds if the metric is no mean over images.
        sides: mean of the baseline and of the candidate.
        pairs: the difference of each seed, ``(n,)``.
    """

    mean: float
    error: float
    freedom: float
    seed_error: float
    image_error: float
    noise: Noise
    sides: tuple[float, float]
    pairs: np.ndarray


Runs = Mapping[int, Path]  # folders of finished runs by seed


def estimate(
    metric: str,
    baseline: Runs,
    candidate: Runs,
    split: str = "val",
    target: float | None = None,
    attacks: Attacks | None = None,
) -> Estimate:
    """Return the difference between two sides with the same number of runs.

    Args:
        metric: a key of `METRICS`.
        baseline, candidate: the runs of each.
        split: ``val`` or ``test``.
        target: accuracy for ``seconds_to`` and ``epochs_to``, a fraction.
        attacks: for the metrics in `ATTACKS`.

    Raises:
        InputError: if a run did not reach the target, cannot be attacked, or has no epoch within the time of the other
            side, or the sides have other images.
        DamagedFile: if a file of a run is damaged.
    """
    unit = METRICS[metric]
    if metric in OF_IMAGES:
        return _over_images(metric, baseline, candidate, attacks or _Predicted(metric, split))
    per_seed = _PER_SEED[metric](baseline, candidate, split, target)
    first, second = (np.array(values) * unit.scale for values in per_seed)
    mean, pairs = float(second.mean() - first.mean()), second - first
    count = len(first)
    if set(baseline) == set(candidate) and count >= PAIRED_FROM:
        error, freedom = pairs.std(ddof=1) / math.sqrt(count), count - 1.0
    else:
        error, freedom = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / count), 2.0 * (count - 1)
    sides, noise = (float(first.mean()), float(second.mean())), Noise(0.0, count / 2 * (error / unit.scale) ** 2, 0.0)
    return Estimate(mean, float(error), freedom, float(error), math.nan, noise, sides, pairs)


class _Predicted:
    """Reads a metric of each image from the predictions of a run."""

    def __init__(self, metric: str, split: str):
        self._metric, self._prefix = metric, "" if split == "test" else "val_"

    def __call__(self, folder: Path) -> tuple[np.ndarray, bytes]:
        """Return the values, ``(N,)``, and what identifies the images."""
        arrays = read_predictions(folder)
        labels = arrays[f"{self._prefix}labels"].astype(np.int64)
        return _of_each_image(self._metric, arrays[f"{self._prefix}logits"], labels), labels.tobytes()


def _over_images(metric: str, baseline: Runs, candidate: Runs, read: Attacks | _Predicted) -> Estimate:
    scale = METRICS[metric].scale
    images: object = None
    known = []
    for runs in (baseline, candidate):
        values = []
        for folder in runs.values():
            value, own = read(folder)
            if images not in (None, own):
                raise InputError(f"{folder} was evaluated on other images: all sides need the same data and split")
            images = own
            values.append(value)
        known.append(_scores(metric, np.stack(values), list(runs)))
    found = differences(known, np.array([1]), np.array([0]))
    error, count = float(found.error[0]), len(known[0].per_image)
    noise = _first(found)
    by_image = min(error, math.sqrt(noise.images / count))
    by_seed = math.sqrt(max(0.0, error**2 - by_image**2))
    sides = (scale * float(known[0].per_seed.mean()), scale * float(known[1].per_seed.mean()))
    pairs = scale * (known[1].per_seed - known[0].per_seed)
    parts = (scale * error, float(found.freedom[0]), scale * by_seed, scale * by_image)
    return Estimate(scale * float(found.mean[0]), *parts, noise, sides, pairs)


def _first(found: Differences) -> Noise:
    return Noise(*(float(part[0]) for part in vars(found.noise).values()))


def _of_each_image(metric: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if metric == "accuracy":
        return logits.argmax(axis=1) == labels
    wide = logits.astype(np.float64)
    return special.logsumexp(wide, axis=1) - wide[np.arange(len(labels)), labels]


def _scores(metric: str, values: np.ndarray, seeds: Sequence[int]) -> Scores:
    if metric in ACCURACIES:
        return scores(values, seeds)
    return Scores(values.mean(axis=0), values.mean(axis=1), float(values.var(axis=0, ddof=1).mean()), tuple(seeds))


PerSeed = tuple[list[float], list[float]]


def _epochs_of(folder: Path) -> list[dict[str, float]]:
    """Return the rows of ``curves.csv``; raise InputError for a classical model, which has none."""
    rows = read_curves(folder)
    if not rows:
        raise InputError(f"{folder} has no epochs: choose another --metric for a classical model, such as accuracy")
    return rows


def _at_equal_time(baseline: Runs, candidate: Runs, split: str, target: float | None) -> PerSeed:
    found: PerSeed = ([], [])
    for pair in zip(baseline.values(), candidate.values(), strict=True):
        curves = [_epochs_of(folder) for folder in pair]
        limit = min(sum(row["seconds"] for row in rows) for rows in curves)
        for side, rows in enumerate(curves):
            seconds = np.cumsum([row["seconds"] for row in rows])
            within = int((seconds <= limit * (1 + 1e-9)).sum())
            if not within:
                raise InputError(
                    f"{pair[side]}: its first epoch took {seconds[0]:.3g} s, and the whole training of the other side "
                    f"{limit:.3g} s: no accuracies at equal time; raise epochs of the faster side"
                )
            found[side].append(max(row["val_acc"] for row in rows[:within]))
    return found


def _to_target(column: str) -> Callable[[Runs, Runs, str, float | None], PerSeed]:
    def measure(baseline: Runs, candidate: Runs, split: str, target: float | None) -> PerSeed:
        first, second = (
            [_reached(folder, column, target) for folder in runs.values()] for runs in (baseline, candidate)
        )
        return first, second

    return measure


def _reached(folder: Path, column: str, target: float | None) -> float:
    rows = _epochs_of(folder)
    reached = next((place for place, row in enumerate(rows) if row["val_acc"] >= (target or 0)), None)
    if reached is None:
        best = max(row["val_acc"] for row in rows)
        raise InputError(f"{folder} never reached --target {target} (its best: {best:.4f}): lower it, or raise epochs")
    return float(reached + 1) if column == "epoch" else float(sum(row["seconds"] for row in rows[: reached + 1]))


def _of_probabilities(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., PerSeed]:
    def measure(baseline: Runs, candidate: Runs, split: str, target: float | None) -> PerSeed:
        prefix = "" if split == "test" else "val_"
        found: PerSeed = ([], [])
        for side, runs in enumerate((baseline, candidate)):
            for folder in runs.values():
                arrays = read_predictions(folder)
                labels = arrays[f"{prefix}labels"].astype(np.int64)
                found[side].append(function(softmax(arrays[f"{prefix}logits"]), labels))
        return found

    return measure


_PER_SEED: dict[str, Callable[[Runs, Runs, str, float | None], PerSeed]] = {
    "accuracy_at_equal_time": _at_equal_time,
    "seconds_to": _to_target("seconds"),
    "epochs_to": _to_target("epoch"),
    "calibration": _of_probabilities(lambda probabilities, labels: calibration(probabilities, labels).ece),
    "brier": _of_probabilities(brier),
}
