"""Images whose labels are probably wrong: found in the predictions of runs on all folds of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.confidence import softmax
from mnist_zoo.data.datamodule import MNISTDataModule
from mnist_zoo.data.recorded import load_recorded
from mnist_zoo.errors import InputError, install_command
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.images import image_grid
from mnist_zoo.plots.style import style
from mnist_zoo.report.mislabelled import MISLABELLED, well_labelled
from mnist_zoo.report.suspects import FOLDER
from mnist_zoo.report.writing import png
from mnist_zoo.runs import find_runs, read_predictions, read_result, read_status

SPLITS = ("test", "train")
HOW = "train them with python -m mnist_zoo -m ... data.folds=5 data.fold=0,1,2,3,4"


@dataclass(frozen=True)
class Suspects:
    """The images of one split, the most suspicious first.

    Attributes:
        table: a row for each image, with ``rank`` (from 1), ``image`` (its number in the data set, from 0), ``given``
            and ``likely`` label (names), the predicted probabilities ``p_given`` and ``p_likely``, and ``issue``:
            whether cleanlab counts it as an error.
        images: uint8 ``(N, C, H, W)``, in the order of the data set.
        known: numbers of images whose labels are known to be wrong; empty if none are known.
    """

    table: pd.DataFrame
    images: np.ndarray
    known: tuple[int, ...] = ()

    def recall(self, most: int) -> int:
        """Return how many of the known errors are among the first `most` images."""
        return int(self.table["image"].head(most).isin(self.known).sum())


@dataclass(frozen=True)
class LabelErrors:
    """What `find_label_errors` found.

    Attributes:
        data: name of the data set.
        runs, folds: how many there are.
        test, train: images of the test and of the training set.
    """

    data: str
    runs: int
    folds: int
    test: Suspects
    train: Suspects

    def summary(self, most: int) -> list[str]:
        """Return what was found, as lines of text."""
        lines = [f"{self.data}: {self.runs} runs on {self.folds} folds"]
        for name, each in (("test", self.test), ("training", self.train)):
            count, total = int(each.table["issue"].sum()), len(each.table)
            lines.append(f"  {count:,} of {total:,} {name} labels are probably wrong (cleanlab)")
            if each.known:
                found = each.recall(most)
                lines.append(
                    f"  {found} of {len(each.known)} {name} labels known to be wrong are among the first {most}"
                )
        return lines


def find_label_errors(sweep: str | Path, data_root: str | Path | None = None) -> LabelErrors:
    """Rank the images of a data set by how probable it is that their labels are wrong.

    Each training image is predicted by the runs that were validated on its fold, and so not trained on it; test images
    by all runs. Several runs are averaged. Images are ranked by the probability of the given label, and those that
    confident learning removes are marked (Northcutt et al. 2021; cleanlab's defaults, which were not tuned here).

    Args:
        sweep: folder with finished runs on all folds of one data set.
        data_root: see `load_recorded`.

    Raises:
        InputError: if runs are missing or do not belong together, their images cannot be loaded, or cleanlab is not
            installed.
    """
    _require_cleanlab()
    runs = _fold_runs(sweep)
    folds = runs[0][1]["folds"]
    train, tests = [], []
    for fold in range(folds):
        own = [(folder, recorded) for folder, recorded in runs if recorded["fold"] == fold]
        if not own:
            raise InputError(f"fold {fold} of {folds} has no finished run below {sweep}: continue the sweep, or {HOW}")
        data = _images_of(*own[0], data_root)
        predictions = [read_predictions(folder) for folder, _ in own]
        for (folder, _), arrays in zip(own, predictions, strict=True):
            if not np.array_equal(arrays["val_labels"], data.labels("val").numpy()):
                raise InputError(f"{folder} has other validation images than {own[0][0]}: use runs of one sweep")
        probabilities = np.mean([softmax(arrays["val_logits"]) for arrays in predictions], axis=0)
        train.append((data.places("val"), probabilities, data.images("val").numpy(), data.labels("val").numpy()))
        tests += [softmax(arrays["logits"]) for arrays in predictions]
    places, out_of_fold, images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    order = np.argsort(places)  # the order of the data set: each image is in one fold
    test_labels, names = data.labels("test").numpy(), data.class_names
    return LabelErrors(
        data.name,
        len(runs),
        folds,
        Suspects(
            _ranked(test_labels, np.mean(tests, axis=0), names),
            data.images("test").numpy(),
            () if well_labelled(test_labels) is None else MISLABELLED,
        ),
        Suspects(_ranked(labels[order], out_of_fold[order], names), images[order]),
    )


def _require_cleanlab() -> None:
    try:
        import cleanlab  # noqa: F401
    except ImportError as error:
        raise InputError(f"label errors need cleanlab, which is not installed: {install_command('labels')}") from error


def _fold_runs(sweep: str | Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return the finished runs on folds, each with what was recorded of its data."""
    if not Path(sweep).is_dir():
        raise InputError(f"there is no folder {sweep}: name a sweep")
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for folder in find_runs([sweep]):
        recorded = ((read_status(folder) or {}).get("config") or {}).get("data")
        if isinstance(recorded, dict) and recorded.get("folds") is not None and read_result(folder) is not None:
            found.append((folder, recorded))
    if not found:
        raise InputError(f"no finished run below {sweep} was validated on a fold (data.folds): {HOW}")
    folder, first = found[0]
    for other, recorded in found:
        differing = [key for key in {*first, *recorded} - {"fold"} if first.get(key) != recorded.get(key)]
        if differing:
            raise InputError(f"{folder} and {other} differ in data.{min(differing)}: name runs on the same images")
    return found


def _images_of(folder: Path, recorded: Mapping[str, Any], data_root: str | Path | None) -> MNISTDataModule:
    """Return the data of a run; raises InputError if they are other ones than those it used."""
    metrics = read_result(folder)
    assert metrics is not None  # `_fold_runs` left out unfinished runs
    if recorded.get("train_fraction", 1) != 1:
        raise InputError(f"{folder} was trained with data.train_fraction: label errors need all training images")
    data = load_recorded(metrics["data"], recorded, data_root)
    if data.fingerprint != metrics["data_fingerprint"]:
        raise InputError(
            f"the images of {metrics['data']} in {data.root} are not those that {folder.name} used: name the folder of "
            f"its images with --data-root DIR"
        )
    return data


def _ranked(labels: np.ndarray, probabilities: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the table of `Suspects`."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    try:
        issues = find_label_issues(labels, probabilities, n_jobs=1)
        quality = get_label_quality_scores(labels, probabilities)
    except (ValueError, AssertionError) as error:
        raise InputError(f"cleanlab cannot judge these labels: {' '.join(str(error).split())[:200]}") from error
    order = np.argsort(quality, kind="stable")
    likely = probabilities.argmax(axis=1)
    rows = np.arange(len(labels))
    return pd.DataFrame(
        {
            "rank": rows + 1,
            "image": order,
            "given": np.array(names)[labels[order]],
            "likely": np.array(names)[likely[order]],
            "p_given": probabilities[rows, labels][order],
            "p_likely": probabilities.max(axis=1)[order],
            "issue": issues[order],
        }
    )


def check_most(most: int) -> None:
    """Raise InputError unless `most`, a number of images to draw, is in range."""
    if not 1 <= most <= 500:
        raise InputError(f"--most {most}: it must be from 1 to 500")


def write_label_errors(found: LabelErrors, place: str | Path, *, most: int = 50) -> Path:
    """Write ``train.csv`` and ``test.csv`` (the first `most` images and all that cleanlab marks) and pictures.

    Args:
        found: of `find_label_errors`.
        place: folder in which ``label_errors/`` is made.
        most: images in each picture, at least 1.

    Returns:
        The folder.

    Raises:
        InputError: if `most` is out of range, or the folder is a symbolic link.
        StorageError: if it cannot be written.
    """
    check_most(most)
    folder = Path(place) / FOLDER
    if folder.is_symlink():
        raise InputError(f"{folder} is a symbolic link: remove it, or choose another folder with --out DIR")
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        suspects: Suspects = getattr(found, split)
        table = suspects.table[suspects.table["issue"] | (suspects.table["rank"] <= most)]
        if suspects.known:
            table = table.assign(known=table["image"].isin(suspects.known))
        write_atomically(folder / f"{split}.csv", table.to_csv(index=False, float_format="%.6f"))
        first = table.head(most)
        captions = [f"{row.image}\n{row.given}, likely {row.likely}" for row in first.itertuples()]
        with style():
            known = None if not suspects.known else first["known"].tolist()
            write_atomically(
                folder / f"{split}.png", png(image_grid(suspects.images[first["image"]], captions, known, columns=8))
            )
    return folder
