"""The first screen of the report: the answer in a few sentences, cards of the best configuration, and one plot."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_zoo.plots.style import duration
from mnist_zoo.report.intervals import SHOWN, accuracies
from mnist_zoo.report.sections import Answer, Card, figure_block
from mnist_zoo.report.statistics import accuracy_words
from mnist_zoo.report.tables import enumeration
from mnist_zoo.report.testsets import TestSet
from mnist_zoo.report.untold import untold_sentence
from mnist_zoo.runs import CURVE_COLUMNS

STILL_FALLING = 0.02  # share by which the last epoch lowers the validation loss of a run that has not converged
OVERFIT = 0.10  # share by which the last validation loss is above the lowest of a run that overfits


def answer(runs: TestSet, name: str = "") -> Answer:
    """Return the answer of runs on the same images.

    Args:
        runs: the runs.
        name: of the data set, if the report has several.
    """
    rows = runs.rows
    best: Any = next(rows.itertuples())
    sentences = [
        *(_best(rows, best), *_not_resolved(runs, best), *untold_sentence(runs.table)),
        *(_cost(rows, best), *trainings_sentence(runs.table)),
    ]
    caption = (
        f"Validation and test accuracy of each configuration, best on validation first. Bars: 95 % intervals of the "
        f"mean over seeds{'' if (rows['n'] > 1).all() else '; a point without a bar is one seed'}."
    )
    if len(rows) > SHOWN:
        caption += f" Without scripts: the {SHOWN} best on validation of {len(rows)}."
    return Answer(name, sentences, _cards(best), figure_block("accuracies", accuracies(rows), caption))


def _best(rows: pd.DataFrame, best: Any) -> str:
    seeds = "one seed" if best.n == 1 else f"mean over {best.n} seeds"
    equal = rows.loc[np.isclose(rows["val_acc"], best.val_acc, rtol=0, atol=1e-9), "label"].tolist()[1:]
    tied = f" (as is {enumeration(equal)})" if equal else ""
    first = f"{best.label} is best on validation{tied}. It" if len(rows) > 1 else best.label
    return (
        f"{first} classifies {_accuracy(best, 'val')} % of the validation and {_accuracy(best, 'test')} % of the test "
        f"images correctly ({seeds})."
    )


def _accuracy(row: Any, split: str) -> str:
    """Return an accuracy of a row of `compare` in per cent, with its interval."""
    return accuracy_words(*(100 * getattr(row, f"{split}_acc{end}") for end in ("", "_half", "_least", "_greatest")))


def _not_resolved(runs: TestSet, best: Any) -> list[str]:
    """Return the sentence on the pairs of the best configuration; empty if there is no other."""
    found = runs.significance
    if found is None:
        return []
    pairs = found.pairs[(found.pairs["first"] == best.label) | (found.pairs["second"] == best.label)]
    words = pairs["conclusion"]
    others = pairs["first"].where(pairs["first"] != best.label, pairs["second"])
    if words.eq("undecided: one seed").all():
        whose = "each"
        if best.n > 1:
            whose = f"of {others.iloc[0]}" if len(others) == 1 else "of each other configuration"
        elif (runs.rows["n"] > 1).any():
            whose = f"of {best.label}"
        return [
            f"With one seed {whose}, it is not resolved which configuration is better: other seeds give other numbers."
        ]
    better = int(words.str.startswith(f"{best.label} is better").sum())
    text = f"On the test images it is better than {better} of the {len(pairs)} others (95 % level, Holm)"
    kinds = {
        "worse than": words.str.contains("is better") & ~words.str.startswith(f"{best.label} is better"),
        "equivalent to": words.str.startswith("equivalent"),
        "not resolved against": words.str.startswith("undecided"),
    }
    for kind, chosen in kinds.items():
        if chosen.any():
            text += f"; {kind} {enumeration(others[chosen].tolist())}"
    return [f"{text}."]


def _cost(rows: pd.DataFrame, best: Any) -> str:
    costs = [f"{best.num_params:,.0f} parameters"] if not math.isnan(best.num_params) else []
    costs += [f"{best.flops / 1e6:,.2f} MFLOP an image"] if not math.isnan(best.flops) else []
    text = f"It costs {', '.join([*costs, f'{duration(best.fit_seconds)} of training on {best.device}'])}"
    text += ", the time of a whole stack of jobs" if best.stacked else ""
    cheapest = rows.iloc[int(rows["fit_seconds"].argmin())]
    if cheapest["label"] != best.label and not rows["stacked"].any():
        where = f" on {cheapest['device']}" if rows["device"].nunique() > 1 else ""
        text += (
            f"; {cheapest['label']} trains fastest ({duration(cheapest['fit_seconds'])}{where}), with "
            f"{100 * cheapest['val_acc']:.2f} % on validation"
        )
    return f"{text}."


def training_state(curves: np.ndarray) -> str:
    """Return how the training of a run ended: ``not converged``, ``overfit``, or an empty text.

    Args:
        curves: rows of ``curves.csv``, ``(epochs, columns)``.
    """
    if len(curves) < 2:
        return ""
    losses = curves[:, CURVE_COLUMNS.index("val_loss")]
    if losses[-1] < (1 - STILL_FALLING) * losses[:-1].min():
        return "not converged"
    lowest, train = int(losses.argmin()), curves[:, CURVE_COLUMNS.index("train_loss")]
    return "overfit" if losses[-1] > (1 + OVERFIT) * losses[lowest] and train[-1] < train[lowest] else ""


def trainings_sentence(table: pd.DataFrame) -> list[str]:
    """Return the sentence on runs that had not converged or overfit; none if no run has several epochs."""
    several = table["curves"].map(len) > 1
    with_several, table = "" if several.all() else " with several epochs", table[several]
    if table.empty:
        return []
    states = pd.Series([training_state(curves) for curves in table["curves"]], index=table.index)
    alone = len(table) == 1
    overfit = f"overfit: {'its' if alone else 'their'} validation loss rose again"
    parts = []
    for state, words in (("not converged", "had not converged"), ("overfit", overfit)):
        labels = table.loc[states == state, "label"]
        if len(labels):
            counts = [
                f"{label}: {count}" if count > 1 else str(label) for label, count in labels.value_counts().items()
            ]
            parts.append(
                f"the run{with_several} {words}"
                if alone
                else f"{len(labels)} of {len(table)} runs{with_several} {words} ({enumeration(counts)})"
            )
    if not parts:
        text = "had converged and did not overfit" if alone else "had converged, and none overfit"
        parts = [f"{'the' if alone else 'each'} run{with_several} {text}, by the validation loss"]
    sentence = "; ".join(parts)
    return [f"{sentence[0].upper()}{sentence[1:]}."]


def _cards(best: Any) -> list[Card]:
    """Return the cards of a row of `compare`."""
    seeds = "one seed" if best.n == 1 else f"{best.n} seeds, 95 % interval"
    cards = [
        Card("best configuration", best.label, "by validation accuracy"),
        Card("test accuracy", f"{_accuracy(best, 'test')} %", seeds),
        Card("validation accuracy", f"{_accuracy(best, 'val')} %", seeds),
    ]
    if not math.isnan(best.num_params):
        cards.append(Card("parameters", f"{best.num_params:,.0f}", f"{best.flops / 1e6:,.2f} MFLOP an image"))
    return [*cards, Card("training time", duration(best.fit_seconds), best.device)]


def commands(table: pd.DataFrame) -> list[str]:
    """Return the commands that repeat the runs of each folder: one for each sweep that is a grid, and single runs.

    Args:
        table: of `Runs`.
    """
    found: dict[str, None] = {}
    for _, runs in table.groupby([str(Path(folder).parent) for folder in table["folder"]], sort=False):
        words = [dict(word.partition("=")[::2] for word in asked) for asked in runs["overrides"]]
        keys = list(dict.fromkeys(key for each in words for key in each))
        values = {key: list(dict.fromkeys(each.get(key) for each in words)) for key in keys}
        jobs = {tuple(each.get(key) for key in keys) for each in words}
        grid = len(runs) > 1 and len(jobs) == math.prod(map(len, values.values()))
        if grid and all(None not in each for each in values.values()):
            asked = [f"{key}={','.join(map(str, each))}" for key, each in values.items()]
            found[command(asked, several=True)] = None
        else:
            found |= {command(asked): None for asked in runs["overrides"]}
    return list(found)


def short_names(folders: Iterable[Path]) -> list[str]:
    """Return the name of each folder, with as many folders above it as tell all of them apart."""
    parts = [Path(folder).absolute().parts for folder in folders]
    depth = 1
    while len({own[-depth:] for own in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(own[-depth:]) for own in parts]


def command(overrides: Sequence[str], several: bool = False) -> str:
    """Return the line for a shell that starts a run, or `several`, with these overrides.

    A sweep gives its name to its jobs, in quotes. A single run has no use for it.
    """
    named = [word.replace("'", "") if word.startswith("sweep=") else word for word in overrides]
    kept = [word for word in named if several or not word.startswith("sweep=")]
    return " ".join(["python -m mnist_zoo", *(["-m"] if several else []), *map(shlex.quote, kept)])
