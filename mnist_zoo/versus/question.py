"""The question: which sides are compared, by which metric and within which margin; it is checked before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.hydra_app.compose import compose_config, parsed_words
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.overrides import top_level_key
from mnist_zoo.report.difference import ALPHA
from mnist_zoo.settings import check
from mnist_zoo.settings.checks import file_name
from mnist_zoo.versus.attacked import ATTACKS
from mnist_zoo.versus.estimates import ACCURACIES, METRICS, OF_IMAGES, Metric

# Settings that the command chooses itself, and what to use instead.
CHOSEN = {
    "seed": "it trains seeds 0, 1, 2, ... of every side",
    "resume": "the same command continues",
    "sweep": "name the comparison with --name",
    "output_dir": "give it before --a, for all sides",
}
MOST_SEEDS, LARGEST_OFFSET = 10_000, 1_000_000
LETTERS = "ABCDEFGHIJ"
DISAGREE = (
    0.005  # share of the images on which two configurations systematically differ, in the warning before training
)
TRIAL_SEED = 1_000_000  # of the trials of --tune: none of the seeds that are compared


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        common: overrides of all sides.
        sides: further overrides of each side; the first is the baseline.
        metric: a key of `METRICS`.
        margin: in the metric's unit; a smaller difference does not matter.
        max_seeds: of each side.
        b_seed_offset: added to the seeds of every side but the first.
        target: accuracy for ``seconds_to`` and ``epochs_to``, a fraction.
        epsilon: of the attack, for ``fgsm`` and ``pgd``: the largest change of a pixel, from 0 to 1.
        tune: settings with their ranges, ``key=low:high``.
        trials: of each side, if `tune` is not empty.
        name: of the folder below ``outputs/versus``.
    """

    common: tuple[str, ...]
    sides: tuple[tuple[str, ...], ...]
    metric: str = "accuracy"
    margin: float | None = None
    max_seeds: int = 20
    b_seed_offset: int = 0
    target: float | None = None
    epsilon: float | None = None
    tune: tuple[str, ...] = ()
    trials: int = 12
    name: str | None = None

    @property
    def measured(self) -> Metric:
        """The metric."""
        return METRICS[self.metric]

    @property
    def alpha(self) -> float:
        """The error of each comparison with the baseline: 5 % divided by their number (Bonferroni)."""
        return ALPHA / (len(self.sides) - 1)

    @property
    def allowed(self) -> float:
        """The margin that was given, or the metric's own."""
        return float(self.measured.margin if self.margin is None else self.margin)  # type: ignore[arg-type]  # checked

    def words(self, side: int) -> list[str]:
        """Return the overrides of a side."""
        return [*self.common, *self.sides[side]]

    def label(self, side: int) -> str:
        """Return a side as texts name it, such as ``B (optimizer=adamw)``."""
        return f"{LETTERS[side]} ({' '.join(self.sides[side])})"

    def seed(self, side: int, number: int) -> int:
        """Return the seed of run `number`, counted from 0, of a side."""
        return number + (self.b_seed_offset if side else 0)

    def folder(self, output_dir: str) -> Path:
        """Return the folder of the comparison."""
        words = ",".join("+".join(side) for side in self.sides)
        return Path(output_dir, "versus", self.name or job_name([*_unnamed(self.common), f"versus={words}"]))

    def record(self) -> dict[str, Any]:
        """Return what identifies the comparison in ``versus.json``; its margin and its number of seeds may change."""
        keys = ("common", "sides", "metric", "b_seed_offset", "target", "tune")
        found = {key: getattr(self, key) for key in keys}
        found |= {} if self.epsilon is None else {"epsilon": self.epsilon}  # which older records lack
        common = [word for word in self.common if top_level_key(word) != "hydra"]
        return found | {"common": common, "sides": [list(side) for side in self.sides], "tune": list(self.tune)}


def _unnamed(words: Sequence[str]) -> list[str]:
    return [word for word in words if top_level_key(word) not in ("output_dir", "hydra")]


def check_question(question: Question) -> list[dict[str, Any]]:
    """Return the checked configuration of each side.

    Raises:
        InputError: if an argument, or an override of a side, is invalid.
    """
    if question.metric not in METRICS:
        raise unknown("metric", question.metric, METRICS)
    if not 2 <= len(question.sides) <= len(LETTERS):
        raise InputError(f"there are {len(question.sides)} sides: give --a, and --b up to {len(LETTERS) - 1} times")
    if question.margin is None and question.measured.margin is None:
        raise InputError(f"--metric {question.metric} needs --margin: how large a difference matters, in its unit")
    if not 0 < question.allowed < math.inf:
        raise InputError(f"--margin {question.allowed}: it must be above 0")
    if not 2 <= question.max_seeds <= MOST_SEEDS:
        raise InputError(f"--max-seeds {question.max_seeds}: it must be from 2 to {MOST_SEEDS:,}")
    if not 0 <= question.b_seed_offset <= LARGEST_OFFSET:
        raise InputError(f"--b-seed-offset {question.b_seed_offset}: it must be from 0 to {LARGEST_OFFSET:,}")
    if (question.target is not None) != question.metric.endswith("_to"):
        raise InputError("--target is the accuracy of --metric seconds_to and epochs_to, such as --target 0.98")
    if question.target is not None and not 0 < question.target <= 1:
        raise InputError(f"--target {question.target}: it must be a fraction, above 0 to 1")
    if (question.epsilon is not None) != (question.metric in ATTACKS):
        raise InputError("--epsilon is the largest change of a pixel for --metric fgsm and pgd, such as --epsilon 0.1")
    if question.epsilon is not None and not 0 < question.epsilon <= 1:
        raise InputError(f"--epsilon {question.epsilon}: it must be above 0 and at most 1")
    if question.name is not None and (problem := file_name(question.name)):
        raise InputError(f"--name {question.name}: {problem}")
    found = []
    for side in range(len(question.sides)):
        for word in question.words(side):
            key = top_level_key(word)
            if key in CHOSEN and not (key == "output_dir" and word in question.common):
                raise InputError(f"{word}: not in a comparison: {CHOSEN[key]}")
        own = [word for word in question.words(side) if top_level_key(word) != "hydra"]
        if any(override.is_sweep_override() for override in parsed_words(own)):
            raise InputError(f"side {LETTERS[side]} has several values for a setting: give each value a --b of its own")
        cfg = compose_config(own)
        check(cfg)
        found.append(cfg)
    data = [cfg["data"] for cfg in found]
    if question.metric in OF_IMAGES and any(each != data[0] for each in data[1:]):
        raise InputError("the sides differ in data: images can only be compared with themselves")
    return found


def unreachable(question: Question, images: int) -> str | None:
    """Return a warning if validation images alone make an answer ``equivalent`` unlikely, or None.

    The interval cannot be narrower than that of the images, whatever the number of seeds.
    """
    if question.metric not in ACCURACIES:
        return None
    wide = float(stats.norm.isf(question.alpha / 4)) * 100  # of the first look, in points for a share of 1
    half = wide * math.sqrt(DISAGREE / images)
    if half <= question.allowed:
        return None
    needed = math.ceil(DISAGREE * (wide / question.allowed) ** 2)
    return (
        f"a margin of {question.allowed:g} points is hardly reachable with {images:,} validation images: if the sides "
        f"systematically differ on {100 * DISAGREE:g} % of them, the images alone make the interval +- {half:.2f} "
        f"points wide, with any number of seeds; use --margin {half:.1g} or more, or data.val_size={needed}"
    )
