"""A confidence sequence: intervals of a difference that hold at every look together, so that one may stop at any look.

Look k = 1, 2, ... has an interval of level ``1 - alpha / (k (k + 1))``. These errors add up to alpha, so by Boole's
inequality all intervals contain the true difference with probability ``1 - alpha``, whatever the looks have in common:
seeds of earlier looks, and always the same images. The numbers of seeds at the looks grow by about a half from look to
look, which keeps the price low: the stitching of Darling & Robbins 1967 and Howard et al. 2021. There is no last look:
``--max-seeds`` may be raised later. A comparison that continues repeats its looks, so that each keeps its level: the
errors of a look that is forgotten would not be counted. `results/versus_rates.csv` has simulated error rates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from scipy import stats

from mnist_zoo.versus.estimates import Estimate

FIRST_LOOK = 4  # seeds


def looks(most: int, earlier: Collection[int] = ()) -> Iterator[int]:
    """Yield the number of seeds at each look: the `earlier` ones, then 4, 6, 8, 12, 16, 24, 32, ... and last `most`.

    Args:
        most: largest number.
        earlier: numbers of the looks of a comparison that continues. If it has gone beyond `most` already, only those
            up to `most` are repeated.
    """
    repeated = [seeds for seeds in earlier if seeds <= most]
    yield from repeated
    last = max(earlier, default=0) if repeated else 0
    count, step = FIRST_LOOK, 2
    while count < most:
        if count > last:
            yield count
        count += step
        if count & (count - 1) == 0:  # a power of two: the steps double
            step = count // 2
    if most > last:
        yield most


def spent(look: int, alpha: float) -> float:
    """Return the error that look `look`, counted from 1, may make."""
    return alpha / (look * (look + 1))


@dataclass(frozen=True)
class Look:
    """What was known at one look.

    Attributes:
        seeds: of each side.
        mean: the difference.
        low, high: its interval, the intersection of all intervals so far.
    """

    seeds: int
    mean: float
    low: float
    high: float


@dataclass
class Sequence:
    """The looks at one difference.

    Attributes:
        margin: a smaller difference does not matter.
        alpha: probability that any of the intervals misses the true difference.
        looks: so far.
    """

    margin: float
    alpha: float
    looks: list[Look] = field(default_factory=list)

    def add(self, estimate: Estimate, seeds: int) -> str:
        """Add a look, and return the answer that is known now (see `answer`)."""
        half = 0.0
        if estimate.error:
            level = spent(len(self.looks) + 1, self.alpha)
            half = float(stats.t.isf(level / 2, estimate.freedom)) * estimate.error
        low, high = estimate.mean - half, estimate.mean + half
        if self.looks:
            low, high = max(low, self.looks[-1].low), min(high, self.looks[-1].high)
        self.looks.append(Look(seeds, estimate.mean, low, high))
        return self.answer

    @property
    def answer(self) -> str:
        """``better``, ``worse``, ``equivalent`` (within the margin) or ``undecided``; of a higher difference, better.

        If two intervals do not overlap, one of them has missed the difference, and nothing is claimed.
        """
        last = self.looks[-1]
        if last.low > last.high:
            return "undecided"
        if last.low > 0 or last.high < 0:
            return "better" if last.low > 0 else "worse"
        return "equivalent" if -self.margin < last.low and last.high < self.margin else "undecided"
