"""The sections of the report on single networks: confusions, scores per class, calibration, misclassified images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.confidence import BINS, calibration, softmax
from mnist_zoo.errors import InputError
from mnist_zoo.plots import images
from mnist_zoo.plots.reliability import reliability
from mnist_zoo.report.attribution import attribution_blocks
from mnist_zoo.report.datasets import load_data
from mnist_zoo.report.gallery import all_errors, thumbnails
from mnist_zoo.report.mislabelled import MISLABELLED, well_labelled
from mnist_zoo.report.reconstructions import DRAWING, reconstruction_blocks
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import macro_f1
from mnist_zoo.report.tables import class_report, count_confusions, frequent_confusions
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import read_predictions

GRID_IMAGES = 30
RELIABILITY_LINES = 4
MOST_CLASSES = 40  # of a confusion matrix that can be read


def network_sections(runs: TestSet, data_root: str | Path | None) -> list[Section]:
    """Return the sections on the predictions of the best network and on misclassified images.

    Args:
        runs: runs on the same images.
        data_root: folder of the data files (see `load_data`).
    """
    best = runs.table.iloc[runs.representatives[0]]
    numbers = [str(c) for c in range(runs.classes)]
    try:
        data = load_data(best, data_root)
        class_names = [*data.class_names, *numbers[len(data.class_names) :]]
        test_images = data.images("test").numpy()
    except InputError as error:
        missing = Section("Images", [Block("text", f"No images shown: {error}.")])
        return [_predictions_section(runs, numbers), missing]
    blocks = all_errors(runs, test_images, class_names) if len(runs.missed) else []
    blocks += _worst_errors(runs, runs.representatives[0], test_images, class_names)
    if len(runs.table) > 1:
        blocks += _missed_by_all(runs, test_images, class_names)
    return [
        _predictions_section(runs, class_names),
        Section("Errors", blocks),
        *_reconstructions(runs, test_images, class_names),
    ]


def _name(run: pd.Series) -> str:
    return f"{run['label']} seed={run['seed']}"


def _predictions_section(runs: TestSet, class_names: Sequence[str]) -> Section:
    order, first = runs.order, runs.representatives
    best, predicted = runs.table.iloc[first[0]], runs.predicted[first[0]]
    matrix = None
    if len(class_names) <= MOST_CLASSES:
        matrix = images.confusion_matrix(count_confusions(runs.labels, predicted, len(class_names)), class_names)
    caption = f"Confusion matrix of {_name(best)}, the best configuration on validation: number of test images."
    confusions = "; ".join(frequent_confusions(runs.labels, predicted, class_names)) or "none"
    report = class_report(runs.labels, predicted, class_names)
    shown = report.assign(**{column: report[column].map("{:.4f}".format) for column in ("precision", "recall", "f1")})
    blocks = [
        *figure_block("confusion", matrix, caption),
        Block("text", f"Its most frequent confusions: {confusions}."),
        Block("table", shown, f"Classification report of {_name(best)} on the test images.", "classes", report),
        *_reliability_block(runs),
    ]
    if len(order) > 1:
        rows = []
        for label, row in zip(order, first, strict=True):
            f1 = macro_f1(runs.labels, runs.predicted[row], len(class_names))
            most = frequent_confusions(runs.labels, runs.predicted[row], class_names, most=3)
            rows.append({"configuration": label, "macro F1": f"{f1:.4f}", "most frequent confusions": "; ".join(most)})
        caption = "The lowest seed of each configuration, on the test images."
        frame = pd.DataFrame(rows)
        blocks.append(Block("table", frame, caption, "confusions", frame, folded=len(rows) > OPEN_ROWS))
    return Section("Predictions", blocks)


def _reliability_block(runs: TestSet) -> list[Block]:
    drawn = {}
    for label, row in list(zip(runs.order, runs.representatives, strict=True))[:RELIABILITY_LINES]:
        arrays = read_predictions(runs.table["folder"].iloc[row])
        drawn[label] = calibration(softmax(arrays["logits"]), arrays["labels"])
    best = f" Shown are the {len(drawn)} best on validation." if len(runs.order) > len(drawn) else ""
    caption = (
        f"Accuracy against confidence on the test images, in {BINS} bins, of the lowest seed of each configuration. "
        f"ECE: expected calibration error. Bars: images in each bin of the first.{best}"
    )
    return figure_block("reliability", reliability(drawn), caption)


def _worst_errors(runs: TestSet, row: int, test_images: np.ndarray, class_names: Sequence[str]) -> list[Block]:
    run = runs.table.iloc[row]
    confidence = softmax(read_predictions(run["folder"])["logits"]).max(axis=1)
    wrong = np.flatnonzero(~runs.correct[row])
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:GRID_IMAGES]
    if not len(worst):
        return [Block("text", f"{_name(run)} classifies every test image correctly.")]
    captions = [
        _caption(class_names, runs.labels[i], runs.predicted[row, i], f"{100 * confidence[i]:.0f} %") for i in worst
    ]
    caption = (
        f"The {len(worst)} most confident of the {len(wrong)} errors of {_name(run)}: true class, predicted class and "
        f"its probability."
    )
    shown = thumbnails(runs, worst, test_images, captions)
    blocks = [Block("thumbnails", shown, caption, "worst-errors")]
    return blocks + attribution_blocks(run["folder"], test_images[worst], runs.predicted[row, worst], captions)


def _reconstructions(runs: TestSet, test_images: np.ndarray, class_names: Sequence[str]) -> list[Section]:
    """Return the section on the best configuration on validation that draws images; none if there is no such one."""
    for row in runs.representatives:
        run = runs.table.iloc[row]
        if run["model"] in DRAWING and run["model_options"].get("reconstruction") != 0:
            blocks = reconstruction_blocks(
                run["folder"], _name(run), test_images, runs.labels, runs.predicted[row], class_names
            )
            return [Section("Reconstructions", blocks)]
    return []


def _caption(class_names: Sequence[str], true: int, predicted: int, how: str) -> str:
    """Return the caption of a misclassified image, on three lines if class names are long."""
    separator = "\n" if max(map(len, class_names)) > 3 else ", "
    return f"true {class_names[true]}\nas {class_names[predicted]}{separator}{how}"


def _missed_by_all(runs: TestSet, test_images: np.ndarray, class_names: Sequence[str]) -> list[Block]:
    networks = len(runs.table)
    missed = np.flatnonzero(~runs.correct.any(axis=0))
    if not len(missed):
        return [Block("text", f"No test image is misclassified by all {networks} networks.")]
    votes = [np.bincount(runs.predicted[:, i]) for i in missed]
    agreed = np.array([vote.max() for vote in votes])
    order = np.argsort(-agreed, kind="stable")[:GRID_IMAGES]
    captions = [
        _caption(class_names, runs.labels[missed[i]], votes[i].argmax(), f"{agreed[i]} of {networks}") for i in order
    ]
    caption = (
        f"{len(missed)} test images are misclassified by all {networks} networks. Shown: the true class, the class "
        f"that most networks predict, and how many predict it."
    )
    kept = well_labelled(runs.labels)
    if kept is not None:
        wrong = int((~kept[missed]).sum())
        caption += f" Of MNIST's {len(MISLABELLED)} test images with a known label error, {wrong} are among them."
    return [Block("thumbnails", thumbnails(runs, missed[order], test_images, captions), caption, "missed-by-all")]
