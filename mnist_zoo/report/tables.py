"""Tables of finished runs: means over seeds, published numbers, significant differences, scores per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from mnist_zoo.report import statistics as st
from mnist_zoo.report.published import Verdict, judge, published_rows, rows_of
from mnist_zoo.splits import SPLITS

ALPHA = 1 - st.CONFIDENCE
MEASURED = {f"{split}_{metric}": f"{split}_{metric}" for split in SPLITS for metric in ("acc", "loss")}
MEASURED |= {"epochs": "epochs_run", "fit_seconds": "fit_seconds", "images_per_second": "train_images_per_second"}


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per configuration, best validation accuracy first.

    Args:
        table: of `Runs`.

    Returns:
        Columns ``label, model, data, lr, num_params, flops, n_test, device`` and ``n``, the number of seeds. Then the
        mean over seeds of each accuracy (a fraction) and loss (nats), of ``epochs``, ``fit_seconds`` and
        ``images_per_second``, each with ``..._half``: half the 95 % interval of the mean (NaN for one seed).
        ``..._acc_least`` and ``..._acc_greatest`` are the range over seeds. ``seed_sd`` is the standard deviation of
        the test accuracy over seeds, ``sampling_se`` its standard error for random test images.
    """
    rows = []
    for label, runs in table.groupby("label", sort=False):
        first = runs.iloc[0]
        row = {key: first[key] for key in ("model", "data", "lr", "num_params", "flops", "n_test", "device")}
        row = {"label": label} | row | {"n": len(runs)}
        for name, column in MEASURED.items():
            row[name], row[f"{name}_half"] = st.mean_interval(runs[column].to_numpy())
        for split in SPLITS:
            accuracies = runs[f"{split}_acc"].to_numpy()
            row[f"{split}_acc_least"], row[f"{split}_acc_greatest"] = accuracies.min(), accuracies.max()
        row["seed_sd"] = runs["test_acc"].std(ddof=1) if len(runs) > 1 else math.nan
        row["sampling_se"] = st.sampling_error(row["test_acc"], int(first["n_test"]))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["data", "val_acc"], ascending=[True, False], ignore_index=True)


def against_papers(table: pd.DataFrame) -> list[Verdict]:
    """Return a verdict on every published number that a configuration can be compared with, in the papers' order."""
    order = {row: place for place, row in enumerate(published_rows())}
    pairs = [(row, runs) for _, runs in table.groupby("label") for row in rows_of(runs.iloc[0])]
    verdicts = [judge(row, runs) for row, runs in pairs]
    return sorted((verdict for verdict in verdicts if verdict), key=lambda verdict: order[verdict.row])


def accuracy_cells(row: Any) -> list[str]:
    """Return the training, validation and test accuracy of a row of `compare` as table cells, in per cent."""
    numbers = [[100 * getattr(row, f"{s}_acc{end}") for end in ("", "_half", "_least", "_greatest")] for s in SPLITS]
    return [st.accuracy_words(*each) for each in numbers]


def count_test_accuracies(verdicts: Sequence[Verdict]) -> tuple[int, str]:
    """Return how many published test accuracies can be compared with ours, and a summary of the verdicts."""
    outcomes = [v.outcome for v in verdicts if v.row.metric == "test_acc" and v.outcome != "not comparable"]
    inside, above, below, open_ = (outcomes.count(name) for name in ("inside", "above", "below", "not resolved"))
    words = f"our 95 % interval covers {inside}, lies above {above} and below {below}"
    return len(outcomes), words + (f"; {open_} not resolved, because some seeds fail to learn" if open_ else "")


@dataclass(frozen=True)
class Significance:
    """Which differences between configurations are significant.

    Attributes:
        labels: of the configurations, best validation accuracy first.
        cochran: Cochran's Q over one network of each configuration.
        pairs: one row per pair: ``first``, ``second``, ``difference`` (of mean test accuracies, a fraction),
            ``only_first`` and ``only_second`` (images that only one of the two networks classifies correctly),
            ``p_images`` (McNemar, Holm-corrected), ``p_seeds`` (Welch over seeds, Holm-corrected; NaN with one seed),
            ``smallest`` (the smallest significant difference for that many discordant images) and ``conclusion``.
        detectable: the true difference that is detected with a probability of 80 %, for the pairs' median share of
            discordant images and corrected for the number of pairs.
        images: size of the test set.
    """

    labels: list[str]
    cochran: st.CochransQ
    pairs: pd.DataFrame
    detectable: float
    images: int


def significance(table: pd.DataFrame, predicted: np.ndarray, labels: np.ndarray) -> Significance | None:
    """Compare all configurations on their shared test images; None if there is only one.

    McNemar's test compares the networks with the lowest seed: would they differ on other test images? Welch's test
    compares the accuracies over seeds: would other seeds differ? A difference is resolved if both tests are
    significant, or McNemar's alone where a configuration has one seed.

    Args:
        table: rows of `Runs` that share a test set.
        predicted: predicted classes ``(R, N)``, one row for each row of the table.
        labels: true classes ``(N,)``.
    """
    order = table.groupby("label")["val_acc"].mean().sort_values(ascending=False, kind="stable").index.tolist()
    if len(order) < 2:
        return None
    correct = np.asarray(predicted) == labels
    runs = {label: table.index.get_indexer(group.sort_values("seed").index) for label, group in table.groupby("label")}
    first_correct = correct[[runs[label][0] for label in order]]
    scores = [correct[runs[label]].mean(axis=1) for label in order]
    pairs = _pairs(order, scores, st.discordant(first_correct), len(labels))
    share = float((pairs["only_first"] + pairs["only_second"]).median()) / len(labels)
    detectable = st.detectable(share, len(labels), ALPHA / len(pairs))
    return Significance(order, st.cochrans_q(first_correct), pairs, detectable, len(labels))


def _pairs(order: list[str], scores: list[np.ndarray], counts: np.ndarray, images: int) -> pd.DataFrame:
    """Return the ``pairs`` of `Significance` from the seeds' accuracies and the counts of discordant images."""
    i, j = np.triu_indices(len(order), 1)
    means, names = np.array([each.mean() for each in scores]), np.array(order, dtype=object)
    pairs = pd.DataFrame(
        {
            "first": names[i],
            "second": names[j],
            "difference": means[i] - means[j],
            "only_first": counts[i, j],
            "only_second": counts[j, i],
            "p_images": st.holm(st.mcnemar(counts[i, j], counts[j, i])),
            "p_seeds": st.holm(st.welch_pairs(scores, i, j)),
            "smallest": st.smallest_resolved(counts[i, j] + counts[j, i], images, ALPHA / len(i)),
        }
    )
    pairs["conclusion"] = _conclusions(pairs)
    return pairs


def _conclusions(pairs: pd.DataFrame) -> np.ndarray:
    """Return what the two tests say of each pair, as text."""
    by_images, by_seeds, one_seed = pairs["p_images"] < ALPHA, pairs["p_seeds"] < ALPHA, pairs["p_seeds"].isna()
    higher = np.where(one_seed, pairs["only_first"] > pairs["only_second"], pairs["difference"] > 0)
    better = pairs["first"].where(higher, pairs["second"]) + " is better"
    return np.select(
        [by_images & by_seeds, by_images & one_seed, by_images, by_seeds],
        [
            better.to_numpy(object),
            (better + " (one seed)").to_numpy(object),
            np.array("not resolved: significant over images, but not over seeds", object),
            np.array("not resolved: significant over seeds, but not over images", object),
        ],
        np.array("not resolved", object),
    )


def class_report(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, F1 (fractions) and images of each class, and their macro and weighted averages."""
    scores, known = metrics.precision_recall_fscore_support, range(len(class_names))
    rows = list(zip(class_names, *scores(labels, predicted, labels=known, zero_division=0.0), strict=True))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = scores(labels, predicted, labels=known, average=average, zero_division=0.0)
        rows.append((f"{average} average", precision, recall, f1, len(labels)))
    return pd.DataFrame(rows, columns=["class", "precision", "recall", "f1", "images"])


def count_confusions(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of images of each true class (row) and predicted class (column): int ``(classes, classes)``."""
    # Not sklearn's confusion_matrix, which takes milliseconds for each network.
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def frequent_confusions(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], most: int = 5
) -> list[str]:
    """Return the most frequent confusions as texts: ``4 as 9: 12 of 982 (1.2 %)``."""
    matrix = count_confusions(labels, predicted, len(class_names))
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    words = []
    for true, wrong in zip(*np.unravel_index(order, matrix.shape), strict=True):
        if count := matrix[true, wrong]:
            share = 100 * count / totals[true]
            words.append(f"{class_names[true]} as {class_names[wrong]}: {count} of {totals[true]:,} ({share:.1f} %)")
    return words
