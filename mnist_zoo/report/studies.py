"""What a report shows of an Optuna study: its trials, and the figures that ``mnist_zoo.search`` drew of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mnist_zoo.report.sections import Block, Section

FIGURE_DPI = 120  # of the figures' files
CAPTIONS = {
    "history": "Validation accuracy of each trial in the order of the search, and the best so far.",
    "importances": "How much of the spread between trials each setting explains (fANOVA, on validation accuracy).",
    "slices": "Validation accuracy against each setting; later trials are darker.",
    "curves": "Validation accuracy of each trial, epoch by epoch: where pruned ones were given up.",
}


def study_sections(run_folders: Iterable[Path]) -> list[Section]:
    """Return a section for each study that some of the runs are trials of (``<study>/trials/<number>/``)."""
    places = {folder.parent.parent for folder in map(Path, run_folders) if folder.parent.name == "trials"}
    return [_section(place) for place in sorted(places) if (place / "trials.csv").is_file()]


def _section(study: Path) -> Section:
    trials = pd.read_csv(study / "trials.csv")
    counts = trials["state"].str.lower().value_counts()
    said = f"{len(trials)} trials: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."
    settings = [column for column in trials if column.startswith("params_")]
    complete = trials[trials["state"] == "COMPLETE"].sort_values("value", ascending=False, kind="stable")
    if len(complete):
        best = complete.iloc[0]
        words = " ".join(f"{column.removeprefix('params_')}={best[column]}" for column in settings)
        said += f" Best on validation: trial {best['number']}, {100 * best['value']:.2f} %: {words}."
    ranked = pd.concat([complete, trials.drop(complete.index)])
    shown = ranked[["number", "state"]].assign(validation=[_percent(value) for value in ranked["value"]])
    for column in settings:
        shown[column.removeprefix("params_")] = ranked[column]
    blocks = [Block("text", said)]
    for name, caption in CAPTIONS.items():
        if (study / f"{name}.png").is_file():
            blocks.append(Block("figure", study / f"{name}.png", caption, name))
    caption = "Every trial, best on validation first; accuracy in per cent, that of the last epoch for a pruned one."
    blocks.append(Block("table", shown, caption, folded=True))
    return Section(f"Search: {study.name}", blocks)


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{100 * value:.2f}"
