"""Verdicts: whether a published number is one that a further run of ours could have given.

A published number is the result of one run. It is compared with the 95 % prediction interval of one further run of our
configuration, mean ± t s sqrt(1 + 1/n), not with the interval of our mean. Shares are compared as log-odds, counts as
square roots, losses and times as logarithms, so that an interval stays in the range of its metric. The standard
deviation s is at least that of rounding to whole images: a few seeds may have equal counts by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special, stats

from mnist_zoo.report.published import PRECISION, Row, measured, published_rows, rows_of, why_not_comparable
from mnist_zoo.report.reading import FIXED, VARIES
from mnist_zoo.report.statistics import CONFIDENCE, WIDE, holm

ALPHA = 1 - CONFIDENCE
FEW = 5  # with fewer seeds, the standard deviation is pooled over comparable configurations
ALIKE = 2.0  # configurations are comparable if the ratio of their mean errors is at most this
WORDS = {
    "agrees": "agrees",
    "unclear": "outside our interval, but not significant",
    "above": "ours is above",
    "below": "ours is below",
}


@dataclass(frozen=True)
class Verdict:
    """Comparison of one of our configurations with a published number; all numbers are in its unit.

    Attributes:
        label: of the configuration.
        row: the published number.
        seeds: number of our seeds.
        mean: of our seeds.
        low, high: 95 % prediction interval of one further run; NaN if there is none.
        least, greatest: range over our seeds.
        p: p-value of the published number as one further run; NaN if it cannot be compared.
        reason: why it cannot be compared, or None.
        remark: what else to know: configurations whose seeds were pooled, a reduced precision; or empty.
        compared: number of comparisons that p was corrected for.
        corrected: p with Holm's correction.
        split: whether the split ``varies`` with our seeds, so that the interval includes it, or is ``fixed``.
    """

    label: str
    row: Row
    seeds: int
    mean: float
    low: float
    high: float
    least: float
    greatest: float
    p: float
    reason: str | None = None
    remark: str = ""
    compared: int = 1
    corrected: float = math.nan
    split: str = FIXED

    @property
    def outcome(self) -> str:
        """``not comparable``, or one of `WORDS`. It is ``unclear`` if p is below 5 %, and the corrected p is not."""
        if self.reason:
            return "not comparable"
        if self.corrected >= ALPHA:
            return "agrees" if self.p >= ALPHA else "unclear"
        return "above" if self.mean > self.row.value else "below"

    @property
    def words(self) -> str:
        """The verdict as a table shows it."""
        if self.reason:
            return f"not comparable: {self.reason}"
        among = f" among {self.compared}" if self.outcome == "unclear" else ""
        return WORDS[self.outcome] + among + (f"; {self.remark}" if self.remark else "")

    @property
    def ours(self) -> str:
        """Our mean and prediction interval as a table shows them, or the range over seeds if there is no interval."""
        digits = 4 if self.row.unit == "nats" else 2
        if not math.isnan(self.low):
            return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        if self.greatest > self.least:
            return f"{self.least:.{digits}f} to {self.greatest:.{digits}f}"
        return f"{self.mean:.{digits}f}"

    @property
    def difference(self) -> float:
        """Our mean minus the published number."""
        return self.mean - self.row.value


def against_papers(tables: Iterable[pd.DataFrame]) -> list[Verdict]:
    """Return a verdict on every published number that a configuration can be compared with, in the papers' order.

    Args:
        tables: of `Runs` or of results. p-values are corrected for all comparisons in them together (Holm).
    """
    order = {row: place for place, row in enumerate(published_rows())}
    found = sorted((v for table in tables for v in _verdicts(table)), key=lambda verdict: order[verdict.row])
    compared = [verdict for verdict in found if not verdict.reason]
    corrected = iter(holm([verdict.p for verdict in compared]))
    return [v if v.reason else replace(v, corrected=float(next(corrected)), compared=len(compared)) for v in found]


def _verdicts(table: pd.DataFrame) -> list[Verdict]:
    groups = [runs for _, runs in table.groupby("label", sort=False)]
    pairs = [(row, runs) for runs in groups for row in rows_of(runs.iloc[0])]
    return [verdict for row, runs in pairs if (verdict := judge(row, runs, groups))]


def judge(row: Row, runs: pd.DataFrame, others: Sequence[pd.DataFrame] = ()) -> Verdict | None:
    """Compare the runs of one configuration with a published number; None if we do not measure its metric.

    Args:
        row: the published number.
        runs: of one configuration, rows of `Runs`.
        others: the runs of each configuration from which the standard deviation may be pooled.
    """
    values = measured(row.ours, runs)
    if values is None:
        return None
    scale = _Scale(row.unit, int(runs["n_test"].iloc[0]))
    spread, freedom, pooled = _spread(row, runs, values, others, scale)
    n, mean = len(values), float(values.mean())
    centre = float(scale.to(values).mean())
    low = high = p = math.nan
    if freedom:
        error = spread * math.sqrt(1 + 1 / n)
        low, high = (scale.back(centre + sign * stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error) for sign in (-1, 1))
        p = _p_value(row, scale, centre, error, freedom)
    reason = next((why for _, run in runs.iterrows() if (why := why_not_comparable(row, run))), None)
    if reason is None and row.unit == "%" and values.max() - values.min() > WIDE:
        reason, low, high = "our seeds are too far apart, because some fail to learn", math.nan, math.nan
    if reason is None and not freedom:
        reason = "one seed, and no comparable configuration with several"
    precision = sorted({o for asked in runs["overrides"] for o in asked if o.partition("=")[0] in PRECISION})
    split = runs["split"].iloc[0]
    remarks = ["the interval includes other splits"] if split == VARIES else []
    remarks += [f"spread pooled with {', '.join(pooled)}"] if pooled else []
    remark, label = "; ".join([*remarks, *precision]), runs["label"].iloc[0]
    return Verdict(label, row, n, mean, low, high, values.min(), values.max(), p, reason, remark, split=split)


def _spread(
    row: Row, runs: pd.DataFrame, own: np.ndarray, others: Sequence[pd.DataFrame], scale: _Scale
) -> tuple[float, int, list[str]]:
    """Return the standard deviation between seeds, its degrees of freedom, and the other configurations in it."""
    chosen, names = [own], []
    if len(own) < FEW:
        label, alike = runs["label"].iloc[0], runs[["data", "split"]].iloc[0]
        for other in others:
            values = measured(row.ours, other) if other["label"].iloc[0] != label else None
            if values is not None and other[["data", "split"]].iloc[0].equals(alike) and _alike(row, own, values):
                chosen.append(values)
                names += [str(other["label"].iloc[0])] if len(values) > 1 else []
    several = [scale.to(values) for values in chosen if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    squares = sum(float(np.var(values)) * len(values) for values in several)
    return (max(math.sqrt(squares / freedom), scale.rounding(own)) if freedom else math.nan), freedom, names


def _alike(row: Row, own: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two configurations err so similarly that their seeds may vary alike."""
    if row.unit == "%" and np.ptp(other) > WIDE:  # some of its seeds failed
        return False
    errors = [100 - values.mean() if row.unit == "%" else values.mean() for values in (own, other)]
    return max(errors) <= ALIKE * min(errors)


def _p_value(row: Row, scale: _Scale, centre: float, error: float, freedom: int) -> float:
    """Return the two-sided p-value of a published number, at the edge of its rounding range that is nearer to ours."""
    edges = [float(scale.to(np.array(row.value + sign * row.half_unit))) for sign in (-1, 1)]
    distance = max(0.0, edges[0] - centre, centre - edges[1])
    if not error:
        return 1.0 if distance == 0 else 0.0
    return float(2 * stats.t.sf(distance / error, freedom))


@dataclass(frozen=True)
class _Scale:
    """The scale on which a metric varies about equally everywhere, by the unit of its values.

    Attributes:
        unit: ``%``, ``images``, ``epochs``, ``nats`` or ``s``.
        images: on which shares are measured. A share of 0 or 1 counts as half an image away from it.
    """

    unit: str
    images: int

    def to(self, values: np.ndarray) -> np.ndarray:
        if self.unit == "%":
            return special.logit((values / 100 * self.images + 0.5) / (self.images + 1))
        if self.unit == "images":
            return np.sqrt(values + 0.375)  # Anscombe 1948
        return np.log(np.maximum(values, 1e-12))

    def rounding(self, values: np.ndarray) -> float:
        """Return the standard deviation of rounding to whole images or epochs: seeds with equal counts may differ."""
        whole = {"%": 100 / self.images, "images": 1.0, "epochs": 1.0}.get(self.unit, 0.0)
        greatest = 100.0 if self.unit == "%" else None
        low, high = self.to(np.clip(values.mean() + whole * np.array([-0.5, 0.5]), 0, greatest))
        return float(high - low) / math.sqrt(12)

    def back(self, value: float) -> float:
        if self.unit == "%":
            share = (special.expit(value) * (self.images + 1) - 0.5) / self.images
            return float(100 * min(1.0, max(0.0, share)))
        if self.unit == "images":
            return max(0.0, max(0.0, value) ** 2 - 0.375)
        return math.exp(value)


def count_test_accuracies(verdicts: Sequence[Verdict]) -> tuple[int, str]:
    """Return how many published test accuracies can be compared with ours, and a summary of the verdicts."""
    # A number that two configurations can be compared with counts once: with the interval that includes other splits.
    by_split = sorted(verdicts, key=lambda verdict: verdict.split == VARIES)
    outcomes = list({v.row: v.outcome for v in by_split if v.row.metric == "test_acc" and not v.reason}.values())
    counts = [outcomes.count(name) for name in WORDS]
    words = (
        "{} agree with what one further run of ours would give, {} are outside that interval but not significantly, "
        "and ours is above {} and below {}"
    )
    return len(outcomes), words.format(*counts)
