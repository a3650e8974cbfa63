"""``python -m results render``: write ``results/README.md`` and the README's tables from the CSV files alone."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.style import duration
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.published import RELATED, Row, published_rows
from mnist_zoo.report.tables import accuracy_cells, compare
from mnist_zoo.report.verdicts import Verdict, against_papers, count_test_accuracies
from results.collect import VOTES_FILE, read_results
from results.experiments import EXPERIMENTS, ROBUSTNESS_NOTE, ZOO, ZOO_NOTE, ZOO_TITLE
from results.robustness import read_robustness, robustness_table

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"  # in README.md, around the tables


def write(results: Path, readme: Path) -> None:
    """Write ``<results>/README.md`` and the tables in `readme`.

    Raises:
        InputError: if there is no file `readme`, or it has no markers.
    """
    page, block = render(results)
    if not readme.is_file():
        raise InputError(f"there is no file {readme}: name the README with --readme FILE")
    text = replace_block(readme.read_text(), block)
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / "README.md", page)
    write_atomically(readme, text)


def render(results: str | Path = "results") -> tuple[str, str]:
    """Return the text of ``results/README.md``, and the tables for ``README.md``."""
    tables = {experiment: read_results(results, experiment) for experiment in EXPERIMENTS}
    zoo = read_results(results, ZOO)
    related = None if zoo is None else zoo.assign(experiment=RELATED)
    verdicts = against_papers(table for table in [*tables.values(), related] if table is not None)
    summary = _summary(verdicts)
    pages = ["# Results", "", f"Written by `python -m results render` from the CSV files here. {summary}", ""]
    for experiment, (title, note) in EXPERIMENTS.items():
        own = [v for v in verdicts if v.row.experiment == experiment]
        pages += [f"## `{experiment}`: {title}", "", note, "", *_experiment(experiment, tables[experiment], own), ""]
    votes = Path(results) / VOTES_FILE
    if votes.exists():
        pages += _votes(pd.read_csv(votes))
    if zoo is not None:
        note = ZOO_NOTE.replace("results/", "")
        pages += [f"## `{ZOO}`: {ZOO_TITLE}", "", note, "", *_configurations(zoo), ""]
    measured = read_robustness(results)
    if measured is not None:
        pages += ["## Under attack", "", ROBUSTNESS_NOTE, "", *robustness_table(measured), ""]
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(pages))
    block = [f"{summary} Every row, run or not: [results/README.md](results/README.md).", ""]
    block += _overview(verdicts) if verdicts else []
    if zoo is not None:
        block = [f"{ZOO_TITLE}. {ZOO_NOTE}", "", *_configurations(zoo), "", "### Beside the papers", "", *block]
    return page, "\n".join(block) + "\n"


def _summary(verdicts: list[Verdict]) -> str:
    tested, counts = count_test_accuracies(verdicts)
    published = sum(row.metric == "test_acc" for row in published_rows())
    return f"Of {published} published test accuracies {tested} were run: {counts}."


def _experiment(experiment: str, table: pd.DataFrame | None, verdicts: list[Verdict]) -> list[str]:
    """Return the tables of an experiment: our configurations, then the published numbers."""
    lines = []
    if table is None:
        lines += [f"Not run yet: `python -m mnist_zoo -m experiment={experiment} seed=0,1,2`", ""]
    else:
        lines += [*_configurations(table), ""]
    published = [row for row in published_rows() if row.experiment == experiment]
    if published:
        found = _by_row(verdicts)
        header = ("published row", "data", "metric", "published", "ours", "verdict", "note")
        body = [
            (row.name, row.data, row.metric, f"{row.value:g} {row.unit}", *_ours(found.get(row)), row.note)
            for row in published
        ]
        lines += markdown(header, body)
    return lines


def _configurations(table: pd.DataFrame) -> list[str]:
    """Return the table of our configurations, one row each."""
    shares = "train %", "validation %", "test %"
    header = "configuration", "data", "lr", "epochs", "seeds", "parameters", *shares, "time", "device"
    rows = compare(table)
    body = [
        (
            *(
                escape(row["label"]),
                escape(row["data"]),
                f"{row['lr']:g}",
                f"{row['epochs']:.3g}",
                row["n"],
                f"{row['num_params']:,}",
            ),
            *(*accuracy_cells(named), duration(row["fit_seconds"]), escape(row["device"])),
        )
        for row, named in zip(rows.to_dict("records"), rows.itertuples(), strict=True)
    ]
    return markdown(header, body)


def _overview(verdicts: list[Verdict]) -> list[str]:
    """Return the README's table: the test accuracy of each published row that was run, or its validation accuracy."""
    found = _by_row(verdicts)
    chosen: dict[tuple[str, str, str, str], Row] = {}
    for row in published_rows():
        key = (row.experiment, row.name, row.data, row.model)
        if row.metric == "test_acc" or (row.metric == "val_acc" and key not in chosen):
            chosen[key] = row
    header = ("experiment", "model", "data", "metric", "published %", "ours %", "verdict")
    body = [
        (row.experiment, row.name, row.data, row.metric, f"{row.value:g}", *_ours(found.get(row)))
        for row in chosen.values()
        if row in found
    ]
    return markdown(header, body)


def _by_row(verdicts: list[Verdict]) -> dict[Row, Verdict]:
    """Return one verdict for each published row; of several configurations, one that is comparable."""
    return {v.row: v for v in sorted(verdicts, key=lambda v: v.outcome != "not comparable")}


def _ours(verdict: Verdict | None) -> tuple[str, str]:
    """Return the cells of a row: our number, and the verdict."""
    if verdict is None:
        return "-", "not run"
    return verdict.ours, escape(verdict.words)


def _votes(votes: pd.DataFrame) -> list[str]:
    """Return the section on ensembles."""
    header = ("ensemble", "vote", "members", "validation %", "test %")
    body = [
        (
            *(escape(row["name"]) + (" (chosen)" if row["chosen"] else ""), row["vote"], row["members"].count(";") + 1),
            *(f"{100 * row['val_acc']:.2f}", f"{100 * row['test_acc']:.2f}"),
        )
        for row in votes.to_dict("records")
    ]
    return ["### Votes, chosen on validation", "", *markdown(header, body), ""]


def replace_block(text: str, block: str) -> str:
    """Return `text` with `block` in place of what is between the two markers.

    Raises:
        InputError: unless both markers are there, in order, each on its own line.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no lines {BEGIN} and {END}: add them where the results table belongs")
    return f"{before}{begin}{block}{end}{after}"
