"""Which differences between configurations, and between single networks, are significant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnist_zoo.report import statistics as st
from mnist_zoo.report.difference import (
    ALPHA,
    MARGIN,
    Differences,
    Noise,
    decide,
    detectable,
    differences,
    scores,
    seeds_needed,
)

WANTED = (0.001, 0.002, 0.005)  # true differences in accuracy, for planning


@dataclass(frozen=True)
class Significance:
    """Which differences between configurations are significant.

    Attributes:
        labels: of the configurations, best validation accuracy first.
        cochran: Cochran's Q over one network of each configuration.
        pairs: one row per pair of configurations: ``first``, ``second``, ``seeds`` (as text), ``difference`` (of mean
            test accuracies, a fraction) and ``half`` (half its 95 % interval over seeds and images), ``p`` and
            ``p_equivalent`` (Holm-corrected), ``conclusion``, and ``detectable`` (the true difference that these seeds
            find with a probability of 80 %, after correction); NaN if a configuration has one seed. Then the two
            networks with the lowest seed: ``only_first`` and ``only_second`` (images that only one of them classifies
            correctly) and ``p_networks`` (McNemar, Holm-corrected).
        images: size of the test set.
        margin: a smaller difference counts as equivalent.
        plan: how many seeds of each configuration find a true difference with a probability of 80 %: pairs of the
            difference (a fraction) and the seeds (None: the test images are too few), for the pairs' median noise.
    """

    labels: list[str]
    cochran: st.CochransQ
    pairs: pd.DataFrame
    images: int
    margin: float
    plan: list[tuple[float, int | None]]


def significance(
    table: pd.DataFrame, predicted: np.ndarray, labels: np.ndarray, margin: float = MARGIN
) -> Significance | None:
    """Compare all configurations on their shared test images; None if there is only one.

    Args:
        table: rows of `Runs` that share a test set.
        predicted: predicted classes ``(R, N)``, one row for each row of the table.
        labels: true classes ``(N,)``.
        margin: of equivalence, a fraction.
    """
    order = table.groupby("label")["val_acc"].mean().sort_values(ascending=False, kind="stable").index.tolist()
    if len(order) < 2:
        return None
    correct = np.asarray(predicted) == labels
    runs = {label: group.sort_values("seed") for label, group in table.groupby("label")}
    places = {label: table.index.get_indexer(group.index) for label, group in runs.items()}
    known = [scores(correct[places[label]], runs[label]["seed"].tolist()) for label in order]
    i, j = np.triu_indices(len(order), 1)
    found = differences(known, i, j)
    networks = correct[[places[label][0] for label in order]]
    counts, names = st.discordant(networks), np.array(order, dtype=object)
    pairs = pd.DataFrame(
        {
            "first": names[i],
            "second": names[j],
            "seeds": [_seeds(len(known[a].seeds), len(known[b].seeds)) for a, b in zip(i, j, strict=True)],
            "difference": found.mean,
            "half": found.half,
            "p": found.p,
            "p_equivalent": found.p_equivalent(margin),
            "detectable": np.where(np.isnan(found.error), math.nan, _detectable(found, len(labels))),
            "only_first": counts[i, j],
            "only_second": counts[j, i],
            "p_networks": st.holm(st.mcnemar(counts[i, j], counts[j, i])),
        }
    )
    pairs["conclusion"] = _conclusions(pairs, decide(found, margin), margin)
    return Significance(order, st.cochrans_q(networks), pairs, len(labels), margin, _plan(found, len(labels)))


def _detectable(found: Differences, images: int) -> np.ndarray:
    """Return the true difference that each pair's seeds find; meaningless for a pair with a single seed."""
    return detectable(found.noise, np.maximum(found.seeds, 2), images, len(found.mean))


def _plan(found: Differences, images: int) -> list[tuple[float, int | None]]:
    """Return how many seeds each of the differences `WANTED` needs, for the median noise of the pairs."""
    tested = ~np.isnan(found.error)
    if not tested.any():
        return []
    typical = Noise(*(float(np.median(part[tested])) for part in vars(found.noise).values()))
    return [(wanted, seeds_needed(wanted, typical, images, len(found.mean))) for wanted in WANTED]


def _seeds(first: int, second: int) -> str:
    return str(first) if first == second else f"{first} and {second}"


def _conclusions(pairs: pd.DataFrame, outcomes: np.ndarray, margin: float) -> np.ndarray:
    """Return the conclusion on each pair in words."""
    within = f"within {100 * margin:g} points"
    best = pairs["first"].where(outcomes == "better", pairs["second"]) + " is better"
    small = best.where(pairs["p_equivalent"] >= ALPHA, best + f", {within}").to_numpy(object)
    words = {"equivalent": f"equivalent {within}", "undecided": "undecided"}
    words["undecided: one seed"] = "undecided: one seed"
    kinds = np.where(pairs["p"].isna(), "undecided: one seed", outcomes)
    rest = np.array([words.get(kind, "") for kind in kinds], dtype=object)
    return np.where(np.isin(kinds, ("better", "worse")), small, rest)
