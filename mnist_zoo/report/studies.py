"""The report's section on an Optuna study: its trials and the plots that ``mnist_zoo.search`` drew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mnist_zoo.report.sections import Block, Section

CAPTIONS = {
    "history": "Validation accuracy of each trial in the order of the search, and the best so far.",
    "importances": "Share of the variance of validation accuracy that each setting explains (fANOVA).",
    "slices": "Validation accuracy against each setting; later trials are darker.",
    "curves": "Validation accuracy of each trial over epochs; the curve of a pruned trial ends where it was stopped.",
}


def study_sections(run_folders: Iterable[Path]) -> list[Section]:
    """Return one section for each study that has some of the runs as trials (``<study>/trials/<number>/``)."""
    studies = {folder.parent.parent for folder in map(Path, run_folders) if folder.parent.name == "trials"}
    return [_section(study) for study in sorted(studies) if (study / "trials.csv").is_file()]


def _section(study: Path) -> Section:
    trials = pd.read_csv(study / "trials.csv")
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
        if (study / f"{name}.png").is_file():
            blocks.append(Block("figure", study / f"{name}.png", caption, name))
    caption = "All trials, best on validation first. Accuracy in per cent; of a pruned trial, that of its last epoch."
    blocks.append(Block("table", shown, caption, folded=True))
    return Section(f"Search: {study.name}", blocks)


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{100 * value:.2f}"
