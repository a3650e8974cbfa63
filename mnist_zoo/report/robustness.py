"""The sections of the report on robustness: accuracy under attacks and on masked images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mnist_zoo.plots.style import drawn_as, plain
from mnist_zoo.report.figures import PANELS, legend_beside
from mnist_zoo.report.measurements import Group, groups_of
from mnist_zoo.report.sections import OPEN_ROWS, Block, Section, figure_block
from mnist_zoo.report.statistics import accuracy_words, mean_interval
from mnist_zoo.report.testsets import TestSet

# name of the test: its title, the list of its strengths, and what a strength is called
CURVES = {
    "fgsm": ("FGSM", "epsilons", "epsilon"),
    "pgd": ("PGD, L-inf", "epsilons", "epsilon"),
    "pgd_l2": ("PGD, L2", "epsilons", "epsilon"),
    "square": ("Square attack", "epsilons", "epsilon"),
    "masking": ("Masked input", "shares", "share zeroed"),
}
ATTACKS = ("pgd", "square", "fgsm")  # the first that was measured is plotted against clean accuracy


def robustness_sections(runs: TestSet) -> list[Section]:
    """Return the sections on what was measured of runs on the same images; none if nothing was."""
    found = {test: groups_of(runs.measured, test) for test in CURVES}
    sections = []
    against = next((found[test][0] for test in ATTACKS if found[test]), None)
    if against is not None and against.runs["label"].nunique() > 1:
        caption = (
            f"Accuracy without attack against accuracy under attack ({_settings(against)}), on the same images. Means "
            f"over seeds.{_only_first(against)}"
        )
        sections.append(Section("Clean against robust accuracy", figure_block("robust", _scatter(against), caption)))
    for test, (title, _, _) in CURVES.items():
        blocks = [block for group in found[test] for block in _blocks(group)]
        if blocks:
            sections.append(Section(title, blocks))
    return sections


def _blocks(group: Group) -> list[Block]:
    """Return plot and table of one test with one choice of settings, and the signs of masked gradients."""
    title, _, strength = CURVES[group.test]
    rows = curve_table(group)
    seeds = "Mean over seeds, and its 95 % interval (Student's t)."
    caption = f"{title}: accuracy (%) against {strength}; {_settings(group)}. {seeds}"
    columns = {f"{each:g}": each for each in _strengths(group)}
    shown = pd.DataFrame(
        [
            {
                "configuration": label,
                "seeds": len(members),
                **{name: _cell(members, each) for name, each in columns.items()},
            }
            for label, members in rows.groupby("configuration", sort=False)
        ]
    )
    blocks = figure_block(group.test, _curves(group), f"{caption}{_only_first(group)}")
    blocks.append(Block("table", shown, caption, f"robustness_{group.test}", rows, folded=len(shown) > OPEN_ROWS))
    signs = [
        f"{run.label} seed={run.seed}: {sign}"
        for run, values in zip(group.runs.itertuples(), group.values, strict=True)
        for sign in values.get("signs", ())
    ]
    if signs:
        blocks.append(Block("text", "Signs that gradients are masked, so that attacks by gradients say too little:"))
        blocks.append(Block("list", signs[:PANELS]))
    return blocks


def curve_table(group: Group) -> pd.DataFrame:
    """Return one row for each run: ``configuration, seed, images`` and the accuracy (a fraction) at each strength."""
    _, strengths, _ = CURVES[group.test]
    rows = []
    for run, values in zip(group.runs.itertuples(), group.values, strict=True):
        accuracies = zip(values[strengths], values["accuracy"], strict=True)
        row = {"configuration": run.label, "seed": run.seed, "images": group.images}
        rows.append(row | {f"{strength:g}": accuracy for strength, accuracy in accuracies})
    return pd.DataFrame(rows)


def _strengths(group: Group) -> list[float]:
    return list(group.values[0][CURVES[group.test][1]])


def _cell(members: pd.DataFrame, strength: float) -> str:
    values = 100 * members[f"{strength:g}"].to_numpy()
    return accuracy_words(*mean_interval(values), values.min(), values.max())


def _by_label(group: Group) -> dict[str, list[Mapping[str, Any]]]:
    """Return the values of each configuration, the first `PANELS` in the order of the table."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for label, values in zip(group.runs["label"], group.values, strict=True):
        found.setdefault(label, []).append(values)
    return dict(list(found.items())[:PANELS])


def _only_first(group: Group) -> str:
    count = group.runs["label"].nunique()
    return f" Shown are {PANELS} of {count} configurations." if count > PANELS else ""


def _settings(group: Group) -> str:
    """Return the settings of a test in words."""
    settings = group.settings
    words = [f"{group.images:,} test images"]
    if "steps" in settings:
        size = "2.5 epsilon / steps" if settings.get("step_size") is None else f"{settings['step_size']:g}"
        words += [f"{settings['steps']} steps of {size}", f"{settings.get('restarts', 1)} random starts"]
    if "queries" in settings:
        words.append(f"{settings['queries']:,} queries")
    return ", ".join(words)


def _curves(group: Group) -> Figure:
    """Draw accuracy against strength, a line for each configuration with its interval over seeds."""
    figure = Figure(figsize=(9.5, 4.6))
    axis = figure.subplots()
    strengths, by_label = _strengths(group), _by_label(group)
    looks = drawn_as(by_label)
    for label, members in by_label.items():
        accuracy = 100 * np.array([values["accuracy"] for values in members])
        colour, line, marker = looks[label]
        intervals = [mean_interval(column) for column in accuracy.T]
        mean, half = np.array(intervals).T
        half = np.nan_to_num(half)  # of one seed
        # An interval of an accuracy ends at 0 and 100 %.
        bars = np.stack([np.minimum(half, mean), np.minimum(half, 100 - mean)])
        style: dict[str, Any] = {"color": colour, "linestyle": line, "marker": marker, "label": plain(label)}
        axis.errorbar(strengths, mean, bars, capsize=2, markersize=4, **style)
    axis.set_xlabel(CURVES[group.test][2])
    axis.set_ylabel("accuracy (%)")
    axis.set_ylim(-2, 102)
    legend_beside(figure, by_label)
    return figure


def _scatter(group: Group) -> Figure:
    """Draw accuracy under attack against accuracy without, a panel for each epsilon, a point for each configuration."""
    strengths, by_label = _strengths(group)[:4], _by_label(group)
    figure = Figure(figsize=(3.2 * len(strengths) + 2.6, max(3.8, 0.22 * len(by_label) + 0.6)))
    axes = figure.subplots(1, len(strengths), sharex=True, squeeze=False)[0]
    for place, (axis, strength) in enumerate(zip(axes, strengths, strict=True)):
        for label, members in by_label.items():
            colour, _, marker = drawn_as(by_label)[label]
            clean = 100 * np.mean([values["clean_accuracy"] for values in members])
            attacked = 100 * np.mean([values["accuracy"][place] for values in members])
            style: dict[str, Any] = {"color": colour, "marker": marker, "label": plain(label)}
            axis.plot(clean, attacked, linestyle="none", markersize=7, **style)
        axis.set_title(f"epsilon {strength:g}")
        axis.set_xlabel("without attack (%)")
        axis.set_ylim(-2, 102)
    axes[0].set_ylabel("under attack (%)")
    legend_beside(figure, by_label, lines=False)
    return figure
