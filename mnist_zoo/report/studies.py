"""The report's section on an Optuna study: its trials and the plots that ``mnist_zoo.search`` drew."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mnist_zoo.report.sections import Block, Section
from mnist_zoo.report.writing import checked_png
from mnist_zoo.runs import Damaged, DamagedFile

TRIALS = "trials.csv"
LARGEST = 16 * 1024**2  # bytes of it
STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")

CAPTIONS = {
    "history": "Validation accuracy of each trial in the order of the search, and the best so far.",
    "importances": "Share of the variance of validation accuracy that each setting explains (fANOVA).",
    "slices": "Validation accuracy against each setting; later trials are darker.",
    "curves": "Validation accuracy of each trial over epochs; the curve of a pruned trial ends where it was stopped.",
}


def study_sections(run_folders: Iterable[Path], damaged: Damaged) -> list[Section]:
    """Return one section for each study that has some of the runs as trials (``<study>/trials/<number>/``).

    Args:
        run_folders: of the report.
        damaged: collects the damaged files of studies, which are left out.
    """
    studies = {folder.parent.parent for folder in map(Path, run_folders) if folder.parent.name == "trials"}
    sections = []
    for study in sorted(studies):
        with damaged.skipped(study):
            if (study / TRIALS).exists() or (study / TRIALS).is_symlink():
                sections.append(_section(study, read_trials(study), damaged))
    return sections


def read_trials(study: Path) -> pd.DataFrame:
    """Return the table of a study's trials: ``number``, ``state``, ``value``, and ``params_...`` as texts.

    Raises:
        DamagedFile: if the file is not such a table.
    """
    path, cure = study / TRIALS, "run the search again, which writes it"
    if path.is_symlink() or not path.is_file():
        raise DamagedFile(path, "it is not a regular file", cure)
    if path.stat().st_size > LARGEST:
        raise DamagedFile(path, f"it is larger than {LARGEST // 1024**2} MB", cure)
    try:
        trials = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", on_bad_lines="error")
        missing = [column for column in ("number", "state", "value") if column not in trials]
        if missing:
            raise DamagedFile(path, f"it lacks {', '.join(missing)}", cure)
        trials["number"] = trials["number"].astype(int)
        trials["value"] = [float(value) if value else math.nan for value in trials["value"]]
    except (ValueError, OverflowError, OSError) as error:  # ValueError: all errors of pandas, and not UTF-8
        raise DamagedFile(path, "it is not a table of trials", cure) from error
    wrong = trials["value"].dropna()
    if not wrong.between(0, 1).all():
        raise DamagedFile(path, "value is not an accuracy", cure)
    if not trials["state"].isin(STATES).all():
        raise DamagedFile(path, "state is none of Optuna's", cure)
    if trials.loc[trials["state"] == "COMPLETE", "value"].isna().any():
        raise DamagedFile(path, "a complete trial has no value", cure)
    if trials["number"].duplicated().any() or (trials["number"] < 0).any():
        raise DamagedFile(path, "number is invalid", cure)
    return trials


def _section(study: Path, trials: pd.DataFrame, damaged: Damaged) -> Section:
    counts = trials["state"].str.lower().value_counts()
    text = f"{len(trials)} trials: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."
    settings = [column for column in map(str, trials) if column.startswith("params_")]
    complete = trials[trials["state"] == "COMPLETE"].sort_values("value", ascending=False, kind="stable")
    if len(complete):
        best = complete.iloc[0]
        words = " ".join(f"{column.removeprefix('params_')}={best[column]}" for column in settings)
        text += f" Best on validation: trial {best['number']}, {100 * best['value']:.2f} %: {words}."
    ranked = pd.concat([complete, trials.drop(complete.index)])
    shown = ranked[["number", "state"]].assign(validation=[_percent(value) for value in ranked["value"]])
    for column in settings:
        shown[column.removeprefix("params_")] = ranked[column]
    blocks = [Block("text", text)]
    for name, caption in CAPTIONS.items():
        if (study / f"{name}.png").exists() or (study / f"{name}.png").is_symlink():
            with damaged.skipped(study):
                picture = checked_png(study / f"{name}.png", "run the search again, which draws it")
                blocks.append(Block("figure", picture, caption, name))
    caption = "All trials, best on validation first. Accuracy in per cent; of a pruned trial, that of its last epoch."
    blocks.append(Block("table", shown, caption, "trials", ranked, folded=True))
    return Section(f"Search: {study.name}", blocks)


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{100 * value:.2f}"
