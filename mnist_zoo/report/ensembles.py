"""Ensembles of the networks that were found: members chosen on validation, tested once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnist_zoo.report.statistics import softmax

VOTES = ("mean probability", "majority")
CANDIDATES = 60  # the best single networks on validation; others are not worth their memory
LARGEST = 10  # members of the ensemble that grows by what helps most


def vote(probabilities: np.ndarray, how: str = "mean probability") -> np.ndarray:
    """Return the ensemble's scores ``(N, C)``, highest for its class, from its members' probabilities ``(M, N, C)``.

    ``majority`` counts the members' classes; a draw goes to the class with the higher mean probability.

    Raises:
        ValueError: if `how` is neither ``mean probability`` nor ``majority``.
    """
    mean = probabilities.mean(axis=0)
    if how == "mean probability":
        return mean
    if how != "majority":
        raise ValueError(f"unknown vote '{how}': use one of {', '.join(VOTES)}")
    classes = np.arange(probabilities.shape[2])
    votes = (probabilities.argmax(axis=2)[..., None] == classes).sum(axis=0)
    return votes + mean / 2  # at most half a vote


@dataclass(frozen=True)
class Ensemble:
    """One way to combine networks; accuracies are fractions.

    `chosen` marks the one with the highest validation accuracy (ties: the lower loss of the mean probability).
    """

    name: str
    vote: str
    members: tuple[str, ...]
    val_acc: float
    val_loss: float
    test_acc: float
    chosen: bool = False


def ensembles(table: pd.DataFrame, predictions: list[dict[str, np.ndarray]]) -> list[Ensemble]:
    """Return the ensembles worth knowing among runs that share validation and test images, best on validation first.

    They are: all seeds of each configuration, the best network of each model, all networks, and one that starts with
    the best network and adds, up to ten, the one that helps most. Members are chosen by validation alone; only then
    is each ensemble tested, once.

    Args:
        table: rows of `Runs`.
        predictions: of `read_predictions`, one for each row.
    """
    if len(table) < 2:
        return []
    names = [f"{run.label} seed={run.seed}" for run in table.itertuples()]
    val = np.stack([softmax(arrays["val_logits"]) for arrays in predictions])
    labels = predictions[0]["val_labels"]
    losses = np.array([_loss(probabilities, labels) for probabilities in val])
    accuracies = (val.argmax(axis=2) == labels).mean(axis=1)
    ranks = np.lexsort((losses, -accuracies))
    candidates = _candidates(table.reset_index(drop=True), ranks, val, labels)
    found = []
    for name, members in candidates.items():
        mean = val[members].mean(axis=0)
        for how in VOTES:
            right = vote(val[members], how).argmax(axis=1) == labels
            found.append((float(right.mean()), _loss(mean, labels), name, how, members))
    found.sort(key=lambda item: (-item[0], item[1]))
    result = []
    for place, (val_acc, val_loss, name, how, members) in enumerate(found):
        test = np.stack([softmax(predictions[i]["logits"]) for i in members])
        test_acc = float((vote(test, how).argmax(axis=1) == predictions[0]["labels"]).mean())
        chosen = tuple(names[i] for i in members)
        result.append(Ensemble(name, how, chosen, val_acc, val_loss, test_acc, chosen=place == 0))
    return result


def _candidates(table: pd.DataFrame, ranks: np.ndarray, val: np.ndarray, labels: np.ndarray) -> dict[str, list[int]]:
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
    found["grown by what helps most"] = _grow(ranks, val, labels)
    distinct: dict[frozenset, str] = {}
    for name, members in found.items():
        if len(members) > 1:
            distinct.setdefault(frozenset(members), name)
    return {name: sorted(members) for members, name in distinct.items()}


def _grow(ranks: np.ndarray, val: np.ndarray, labels: np.ndarray) -> list[int]:
    """Add the network that most improves validation (accuracy, then loss) until none does (Caruana et al. 2004)."""
    members = [int(ranks[0])]
    total = val[members[0]].copy()
    score = _score(total, labels)
    while len(members) < min(LARGEST, len(ranks)):
        trials = {int(i): _score((total + val[i]) / (len(members) + 1), labels) for i in ranks if i not in members}
        best = max(trials, key=trials.get)
        if trials[best] <= score:
            break
        members.append(best)
        total, score = total + val[best], trials[best]
    return members


def _score(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    return float((probabilities.argmax(axis=1) == labels).mean()), -_loss(probabilities, labels)


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())
