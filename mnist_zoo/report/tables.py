"""Tables over finished runs: what was measured, what the papers print, and which differences are resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnist_zoo.report import statistics as st
from mnist_zoo.report.published import Verdict, judge, published_rows, rows_of

SPLITS = ("train", "val", "test")
ALPHA = 1 - st.CONFIDENCE


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a configuration, best validation accuracy first.

    Args:
        table: of `Runs`.

    Returns:
        Columns ``label, model, data, lr, n`` (seeds), ``num_params, flops, epochs`` (mean run), ``epochs_half``, and
        for accuracies (fractions), losses (nats), ``fit_seconds`` and ``images_per_second`` the mean and ``..._half``:
        half the 95 % interval of the mean over seeds (NaN for one seed); of accuracies also ``..._least`` and
        ``..._greatest``; ``seed_sd`` and ``sampling_se`` of the test
        accuracy: the spread over seeds, and the standard error of drawing that many test images.
    """
    rows = []
    for label, runs in table.groupby("label", sort=False):
        first = runs.iloc[0]
        row = {key: first[key] for key in ("model", "data", "lr", "num_params", "flops", "n_test", "device")}
        row = {"label": label} | row | {"n": len(runs)}
        columns = {f"{split}_{metric}": f"{split}_{metric}" for split in SPLITS for metric in ("acc", "loss")}
        columns |= {"epochs": "epochs_run", "fit_seconds": "fit_seconds"}
        columns |= {"images_per_second": "train_images_per_second"}
        for name, column in columns.items():
            row[name], row[f"{name}_half"] = st.mean_interval(runs[column])
        for split in SPLITS:
            row[f"{split}_acc_least"], row[f"{split}_acc_greatest"] = runs[f"{split}_acc"].agg(["min", "max"])
        row["seed_sd"] = runs["test_acc"].std(ddof=1) if len(runs) > 1 else math.nan
        row["sampling_se"] = st.sampling_error(row["test_acc"], int(first["n_test"]))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["data", "val_acc"], ascending=[True, False], ignore_index=True)


def against_papers(table: pd.DataFrame) -> list[Verdict]:
    """Return every published number that one of the configurations stands beside, in the papers' order."""
    order = {row: place for place, row in enumerate(published_rows())}
    pairs = [(row, runs) for _, runs in table.groupby("label") for row in rows_of(runs.iloc[0])]
    verdicts = [judge(row, runs) for row, runs in pairs]
    return sorted((verdict for verdict in verdicts if verdict), key=lambda verdict: order[verdict.row])


def accuracy_cells(row) -> list[str]:
    """Return training, validation and test accuracy of a row of `compare`, in per cent, as a table shows them."""
    figures = [[100 * getattr(row, f"{s}_acc{end}") for end in ("", "_half", "_least", "_greatest")] for s in SPLITS]
    return [st.accuracy_words(*each) for each in figures]


def count_test_accuracies(verdicts: list[Verdict]) -> tuple[int, str]:
    """Return how many published test accuracies ours compare with, and in words what came out."""
    outcomes = [v.outcome for v in verdicts if v.row.metric == "test_acc" and v.outcome != "not comparable"]
    inside, above, below, open_ = (outcomes.count(name) for name in ("inside", "above", "below", "not resolved"))
    words = f"our 95 % interval covers {inside}, lies above {above} and below {below}"
    return len(outcomes), words + (f"; {open_} not resolved, because some seeds fail to learn" if open_ else "")


@dataclass(frozen=True)
class Significance:
    """What the shared test images and the seeds resolve between configurations.

    Attributes:
        labels: of the configurations, best validation accuracy first.
        cochran: over one network of each.
        pairs: a row a pair: ``first``, ``second``, ``difference`` (mean test accuracy, fraction), ``only_first`` and
            ``only_second`` (images that one network alone has right), ``p_images`` (McNemar, Holm-corrected),
            ``p_seeds`` (Welch over seeds, Holm-corrected; NaN with one seed), ``smallest`` (difference that these
            discordant images could resolve) and ``conclusion``.
        detectable: the true difference that this many images would show four times in five, at the pairs' median
            share of discordant images, corrected for the number of pairs.
        images: of the test set.
    """

    labels: list[str]
    cochran: st.CochransQ
    pairs: pd.DataFrame
    detectable: float
    images: int


def significance(table: pd.DataFrame, predicted: np.ndarray, labels: np.ndarray) -> Significance | None:
    """Compare all configurations of a table on their shared test images; None if there is but one.

    One network stands for each configuration: that of its lowest seed. McNemar says whether these networks differ on
    other images like these, Welch whether other seeds would differ on these images; a difference is resolved when
    both say so (the first alone where a configuration has one seed).

    Args:
        table: rows of `Runs` that share a test set.
        predicted: classes ``(R, N)``, a row for each of the table's.
        labels: true classes ``(N,)``.
    """
    order = table.groupby("label")["val_acc"].mean().sort_values(ascending=False, kind="stable").index.tolist()
    if len(order) < 2:
        return None
    right = np.asarray(predicted) == labels
    runs = {label: table.index.get_indexer(group.sort_values("seed").index) for label, group in table.groupby("label")}
    first_right = right[[runs[label][0] for label in order]]
    scores = {label: right[runs[label]].mean(axis=1) for label in order}
    counts = st.discordant(first_right)
    i, j = np.triu_indices(len(order), 1)
    p_images = st.holm(st.mcnemar(counts[i, j], counts[j, i]))
    p_seeds = st.holm(np.array([st.welch(scores[order[a]], scores[order[b]]) for a, b in zip(i, j, strict=True)]))
    alpha = ALPHA / len(i)
    pairs = pd.DataFrame(
        {
            "first": [order[a] for a in i],
            "second": [order[b] for b in j],
            "difference": [scores[order[a]].mean() - scores[order[b]].mean() for a, b in zip(i, j, strict=True)],
            "only_first": counts[i, j],
            "only_second": counts[j, i],
            "p_images": p_images,
            "p_seeds": p_seeds,
            "smallest": [st.smallest_resolved(int(n), len(labels), alpha) for n in counts[i, j] + counts[j, i]],
        }
    )
    pairs["conclusion"] = [_conclusion(pair) for pair in pairs.itertuples()]
    share = float(np.median(counts[i, j] + counts[j, i])) / len(labels)
    detectable = st.detectable(share, len(labels), alpha)
    return Significance(order, st.cochrans_q(first_right), pairs, detectable, len(labels))


def _conclusion(pair) -> str:
    by_images, by_seeds = pair.p_images < ALPHA, pair.p_seeds < ALPHA
    one_seed = math.isnan(pair.p_seeds)
    if by_images and (by_seeds or one_seed):
        higher = pair.only_first > pair.only_second if one_seed else pair.difference > 0
        return f"{pair.first if higher else pair.second} is better" + (" (one seed)" if one_seed else "")
    if by_images:
        return "not resolved: these two networks differ, other seeds may not"
    if by_seeds:
        return "not resolved: seeds agree, but on other images it may differ"
    return "not resolved"


def class_report(labels: np.ndarray, predicted: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """Return precision, recall, F1 (fractions) and images of each class, and their macro and weighted averages."""
    from sklearn.metrics import precision_recall_fscore_support as scores

    known = range(len(class_names))
    rows = list(zip(class_names, *scores(labels, predicted, labels=known, zero_division=0.0), strict=True))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = scores(labels, predicted, labels=known, average=average, zero_division=0.0)
        rows.append((f"{average} average", precision, recall, f1, len(labels)))
    return pd.DataFrame(rows, columns=["class", "precision", "recall", "f1", "images"])


def frequent_confusions(labels: np.ndarray, predicted: np.ndarray, class_names: list[str], most: int = 5) -> list[str]:
    """Return the most frequent confusions in words: ``4 as 9: 12 of 982 images (1.2 %)``."""
    matrix = confusions(labels, predicted, len(class_names))
    np.fill_diagonal(matrix, 0)
    totals = np.bincount(labels, minlength=len(class_names))
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    words = []
    for true, wrong in zip(*np.unravel_index(order, matrix.shape), strict=True):
        if count := matrix[true, wrong]:
            share = 100 * count / totals[true]
            words.append(f"{class_names[true]} as {class_names[wrong]}: {count} of {totals[true]:,} ({share:.1f} %)")
    return words


def confusions(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the counts ``(C, C)``: row the true class, column the predicted one."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, predicted, labels=range(classes))
