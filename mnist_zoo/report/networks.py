"""What the report says of single networks: how they err, how sure they are of it, and on which images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.plots import images
from mnist_zoo.report.reading import load_data
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import calibration, softmax
from mnist_zoo.report.tables import class_report, confusions, frequent_confusions
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.runs import read_predictions

GRID_IMAGES = 30


def network_sections(runs: TestSet, data_root: str | Path | None) -> list[Section]:
    """Return the predictions of the best network in detail, the others' confusions, and the images they miss."""
    order, first = runs.order, runs.representatives
    best = runs.table.loc[first[0]]
    try:
        data = load_data(best, data_root)
        class_names, pictures, why = list(data.class_names), data.images("test").numpy(), ""
    except InputError as error:
        classes = read_predictions(best["folder"])["logits"].shape[1]
        class_names, pictures, why = [str(c) for c in range(classes)], None, str(error)
    sections = [_predictions_section(runs, order, first, class_names)]
    if pictures is None:
        return [*sections, Section("Images", [Block("text", f"No images shown: {why}")])]
    blocks = _worst_errors(runs, first[0], pictures, class_names)
    if len(runs.table) > 1:
        blocks += _missed_by_all(runs, pictures, class_names)
    return [*sections, Section("Errors", blocks)]


def _name(run: pd.Series) -> str:
    return f"{run['label']} seed={run['seed']}"


def _predictions_section(runs: TestSet, order: list[str], first: list[int], class_names: list[str]) -> Section:
    best, predicted = runs.table.loc[first[0]], runs.predicted[first[0]]
    words = frequent_confusions(runs.labels, predicted, class_names)
    report = class_report(runs.labels, predicted, class_names)
    shown = report.assign(**{column: report[column].map("{:.4f}".format) for column in ("precision", "recall", "f1")})
    drawn = {}
    for label, row in list(zip(order, first, strict=True))[:4]:
        arrays = read_predictions(runs.table.loc[row, "folder"])
        drawn[label] = calibration(softmax(arrays["logits"]), arrays["labels"])
    counts = confusions(runs.labels, predicted, len(class_names))
    which = f"{_name(best)}, the best configuration on validation"
    blocks = [
        *figure_block("confusion", images.confusion_matrix(counts, class_names), f"Test images of {which}: counts."),
        Block("text", f"Its most frequent confusions: {'; '.join(words) or 'none'}."),
        Block("table", shown, f"Classification report of {_name(best)} on the test images.", "classes", report),
        *figure_block(
            "reliability", images.reliability(drawn), "Confidence against accuracy on test images, in 15 bins."
        ),
    ]
    if len(order) > 1:
        rows = []
        for label, row in zip(order, first, strict=True):
            f1 = (
                class_report(runs.labels, runs.predicted[row], class_names)
                .set_index("class")
                .loc["macro average", "f1"]
            )
            most = frequent_confusions(runs.labels, runs.predicted[row], class_names, most=3)
            rows.append({"configuration": label, "macro F1": f"{f1:.4f}", "most frequent confusions": "; ".join(most)})
        caption = "Every configuration's lowest seed on the test images."
        blocks.append(Block("table", pd.DataFrame(rows), caption, folded=len(rows) > OPEN_ROWS))
    return Section("Predictions", blocks)


def _worst_errors(runs: TestSet, row: int, pictures: np.ndarray, class_names: list[str]) -> list[Block]:
    run = runs.table.loc[row]
    confidence = softmax(read_predictions(run["folder"])["logits"]).max(axis=1)
    wrong = np.flatnonzero(~runs.right[row])
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:GRID_IMAGES]
    if not len(worst):
        return [Block("text", f"{_name(run)} has every test image right.")]
    captions = [
        _caption(class_names, runs.labels[i], runs.predicted[row, i], f"{100 * confidence[i]:.0f} %") for i in worst
    ]
    caption = (
        f"The errors that {_name(run)} was surest of, of {len(wrong)}: true class; prediction and its probability."
    )
    return figure_block("worst-errors", images.image_grid(pictures[worst], captions), caption)


def _caption(class_names: list[str], true: int, predicted: int, how: str) -> str:
    """Return what stands above a wrongly classified image, on three lines where class names are long."""
    separator = "\n" if max(map(len, class_names)) > 3 else ", "
    return f"true {class_names[true]}\nas {class_names[predicted]}{separator}{how}"


def _missed_by_all(runs: TestSet, pictures: np.ndarray, class_names: list[str]) -> list[Block]:
    missed = np.flatnonzero(~runs.right.any(axis=0))
    if not len(missed):
        return [Block("text", f"No test image is missed by all {len(runs.table)} networks.")]
    votes = [np.bincount(runs.predicted[:, i]) for i in missed]
    agreed = np.array([vote.max() for vote in votes])
    order = np.argsort(-agreed, kind="stable")[:GRID_IMAGES]
    captions = [
        _caption(class_names, runs.labels[missed[i]], votes[i].argmax(), f"{agreed[i]} of {len(runs.table)}")
        for i in order
    ]
    text = f"{len(missed)} test images are missed by all {len(runs.table)} networks."
    caption = f"{text} True class; the class most of them see, and how many do."
    if runs.name == "mnist":
        caption += " About 15 of MNIST's test labels are known to be wrong."
    return figure_block("missed-by-all", images.image_grid(pictures[missed[order]], captions), caption)
