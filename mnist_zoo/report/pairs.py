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
    Difference,
    Noise,
    decide,
    detectable,
    difference,
    intervals_of,
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
    chosen = list(zip(i, j, strict=True))
    each = [difference(known[a], known[b]) for a, b in chosen]
    found = intervals_of(each, margin)
    least = [min(len(known[a].seeds), len(known[b].seeds)) for a, b in chosen]
    networks = correct[[places[label][0] for label in order]]
    counts = st.discordant(networks)
    pairs = pd.DataFrame(
        {
            "first": [order[a] for a in i],
            "second": [order[b] for b in j],
            "seeds": [_seeds(len(known[a].seeds), len(known[b].seeds)) for a, b in chosen],
            "difference": [known[a].per_seed.mean() - known[b].per_seed.mean() for a, b in chosen],
            "half": found.half,
            "p": found.p,
            "p_equivalent": found.p_equivalent,
            "detectable": [
                math.nan if pair is None else detectable(pair.noise, n, len(labels), len(i))
                for pair, n in zip(each, least, strict=True)
            ],
            "only_first": counts[i, j],
            "only_second": counts[j, i],
            "p_networks": st.holm(st.mcnemar(counts[i, j], counts[j, i])),
        }
    )
    pairs["conclusion"] = _conclusions(pairs, each, margin)
    plan = _plan([pair.noise for pair in each if pair is not None], len(labels), len(i))
    return Significance(order, st.cochrans_q(networks), pairs, len(labels), margin, plan)


def _plan(noises: list[Noise], images: int, pairs: int) -> list[tuple[float, int | None]]:
    """Return how many seeds each of the differences `WANTED` needs, for the median noise of the pairs."""
    if not noises:
        return []
    parts = [[noise.images, noise.seeds, noise.single] for noise in noises]
    typical = Noise(*(float(part) for part in np.median(parts, axis=0)))
    return [(wanted, seeds_needed(wanted, typical, images, pairs)) for wanted in WANTED]


def _seeds(first: int, second: int) -> str:
    return str(first) if first == second else f"{first} and {second}"


def _conclusions(pairs: pd.DataFrame, differences: list[Difference | None], margin: float) -> list[str]:
    """Return the conclusion on each pair in words."""
    within = f"within {100 * margin:g} points"
    words = []
    for pair, each, outcome in zip(pairs.to_dict("records"), differences, decide(differences, margin), strict=True):
        if outcome in ("better", "worse"):
            small = f", {within}" if pair["p_equivalent"] < ALPHA else ""
            words.append(f"{pair['first'] if outcome == 'better' else pair['second']} is better{small}")
        elif outcome == "equivalent":
            words.append(f"equivalent {within}")
        else:
            words.append("undecided" if each is not None else "undecided: one seed")
    return words
