"""Ensembles of finished networks: members are chosen on validation, then the ensemble is tested once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnist_zoo.confidence import nll, softmax
from mnist_zoo.report.statistics import holm, mcnemar

VOTES = ("mean probability", "majority")
CANDIDATES = 60  # the report considers this many networks, best on validation first, to limit memory
LARGEST = 10  # most members of the greedy ensemble


def vote(probabilities: np.ndarray, how: str = "mean probability") -> np.ndarray:
    """Return the class scores of an ensemble; the predicted class has the highest score.

    Args:
        probabilities: of the members, ``(M, N, C)``.
        how: ``mean probability``, or ``majority`` to count the members' predicted classes; the mean probability
            breaks ties.

    Returns:
        Scores ``(N, C)``.

    Raises:
        ValueError: for another `how`.
    """
    mean = probabilities.mean(axis=0)
    if how == "mean probability":
        return mean
    if how != "majority":
        raise ValueError(f"unknown vote '{how}': use one of {', '.join(VOTES)}")
    classes = np.arange(probabilities.shape[2])
    votes = (probabilities.argmax(axis=2)[..., None] == classes).sum(axis=0)
    return votes + mean / 2  # half, so that even a mean probability of 1 is less than one vote


@dataclass(frozen=True)
class Ensemble:
    """One ensemble and one way to vote; accuracies are fractions, `val_loss` is in nats.

    `chosen` marks the one with the highest validation accuracy (ties: the lowest loss of the mean probability).
    `best_member_acc` is the test accuracy of the member that is best on validation. `p` belongs to McNemar's exact test
    between that member and the ensemble, corrected for the number of ensembles (Holm).
    """

    name: str
    vote: str
    members: tuple[str, ...]
    val_acc: float
    val_loss: float
    test_acc: float
    best_member_acc: float
    p: float
    chosen: bool = False


def ensembles(table: pd.DataFrame, predictions: Sequence[dict[str, np.ndarray]]) -> list[Ensemble]:
    """Return ensembles of runs that share validation and test images, best on validation first.

    These are: all seeds of each configuration, the best network of each model, all networks, and a greedy ensemble
    (see `_greedy`). Members are chosen by validation results alone; each ensemble is then tested once.

    Args:
        table: rows of `Runs`.
        predictions: as `read_predictions` returns them, one for each row.
    """
    if len(table) < 2:
        return []
    names = [f"{run.label} seed={run.seed}" for run in table.itertuples()]
    val = np.stack([softmax(arrays["val_logits"]) for arrays in predictions])
    labels = predictions[0]["val_labels"]
    losses = np.array([nll(probabilities, labels) for probabilities in val])
    accuracies = (val.argmax(axis=2) == labels).mean(axis=1)
    ranks = np.lexsort((losses, -accuracies))
    found = []
    for name, members in _candidates(table.reset_index(drop=True), ranks, val, labels).items():
        loss = nll(val[members].mean(axis=0), labels)
        for how in VOTES:
            correct = vote(val[members], how).argmax(axis=1) == labels
            found.append((float(correct.mean()), loss, name, how, members))
    found.sort(key=lambda item: (-item[0], item[1]))
    tested = [_test(predictions, members, how, ranks) for *_, how, members in found]
    corrected = holm([p for _, _, p in tested])
    return [
        Ensemble(name, how, tuple(names[i] for i in members), val_acc, val_loss, acc, best_acc, float(p), place == 0)
        for place, ((val_acc, val_loss, name, how, members), (acc, best_acc, _), p) in enumerate(
            zip(found, tested, corrected, strict=True)
        )
    ]


def _test(
    predictions: Sequence[dict[str, np.ndarray]], members: list[int], how: str, ranks: np.ndarray
) -> tuple[float, float, float]:
    """Return the test accuracies of an ensemble and of its best member on validation, and McNemar's p-value."""
    labels = predictions[0]["labels"]
    test = np.stack([softmax(predictions[i]["logits"]) for i in members])
    best = members.index(next(int(i) for i in ranks if i in members))
    ours, its_best = vote(test, how).argmax(axis=1) == labels, test[best].argmax(axis=1) == labels
    p = float(mcnemar(int((ours & ~its_best).sum()), int((its_best & ~ours).sum())))
    return float(ours.mean()), float(its_best.mean()), p


def _candidates(table: pd.DataFrame, ranks: np.ndarray, val: np.ndarray, labels: np.ndarray) -> dict[str, list[int]]:
    """Return the row numbers of each ensemble's members, by the ensemble's name; equal sets appear once."""
    found = {
        f"all seeds of {label}": runs.index.tolist()
        for label, runs in table.groupby("label", sort=False)
        if len(runs) > 1
    }
    best: dict[str, int] = {}
    for i in ranks:
        best.setdefault(table["model"].iloc[i], int(i))
    found["the best network of each model"] = list(best.values())
    found["all networks"] = list(range(len(table)))
    found["greedy selection"] = _greedy(ranks, val, labels)
    distinct: dict[frozenset[int], str] = {}
    for name, members in found.items():
        if len(members) > 1:
            distinct.setdefault(frozenset(members), name)
    return {name: sorted(members) for members, name in distinct.items()}


def _greedy(ranks: np.ndarray, val: np.ndarray, labels: np.ndarray) -> list[int]:
    """Start with the best network; add the one that most improves validation until none does (Caruana et al. 2004)."""
    members = [int(ranks[0])]
    total = val[members[0]].copy()
    score = _score(total, labels)
    while len(members) < min(LARGEST, len(ranks)):
        trials = {int(i): _score((total + val[i]) / (len(members) + 1), labels) for i in ranks if i not in members}
        best = max(trials, key=lambda i: trials[i])
        if trials[best] <= score:
            break
        members.append(best)
        total, score = total + val[best], trials[best]
    return members


def _score(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the accuracy and the negative loss: a better score is greater."""
    return float((probabilities.argmax(axis=1) == labels).mean()), -nll(probabilities, labels)
