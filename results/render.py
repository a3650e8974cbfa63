"""``python -m results render``: write the pages of ``results/`` and the README's summary from the CSV files alone."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.published import FITTED, RELATED, Row, published_rows
from mnist_zoo.report.verdicts import WORDS, against_papers, count_test_accuracies
from results.collect import VOTES_FILE, read_results
from results.experiments import (
    EXPERIMENTS,
    OWN,
    PAPERS,
    RELATED_NOTE,
    RELATED_TITLE,
    ROBUSTNESS_NOTE,
    SEARCHES_NOTE,
    ZOO,
    ZOO_NOTE,
    ZOO_TITLE,
    Paper,
)
from results.plan import missing
from results.records import FILE as RECORDS_FILE
from results.records import records_page
from results.robustness import read_robustness, robustness_table
from results.rows import command
from results.searches import read_searches, searches_table
from results.tables import (
    Measured,
    configurations,
    majority_sentence,
    not_reproduced,
    pairs_sentence,
    published,
    verdict_sentence,
    votes_table,
)

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"  # in README.md, around the summary
HOW_TO_READ = """\
**How to read the tables.** *Ours* is the mean over seeds in the unit of the paper and, in brackets, the 95 % prediction
interval of one further run: a published number is one run. It *agrees* if it lies within the interval. Outside, ours is
*above* or *below* only if that holds after a correction for the number of comparisons (Holm). With fewer than five
seeds the spread is pooled with comparable configurations. Losses, training times, fitted settings and other recipes
are shown and not compared. *One seed* has no interval of its own. In the tables of our runs, accuracies are means with
95 % intervals of the mean, in per cent. *MB*: the parameters in float32. *To 98 %*, *to 99 %*: the first epoch with
that validation accuracy, mean over the seeds that reach it; `-`: not recorded. *Clean test*: without the 15 images of
MNIST's test set whose label is known to be wrong (Northcutt et al. 2021, `mnist_zoo/report/mislabelled.py`); `-`:
other images, or no stored predictions. Times are of one seed and were taken beside other work on the machine.
"""


def write(results: Path, readme: Path) -> None:
    """Write ``<results>/README.md``, ``<results>/records.md`` and the summary in `readme`.

    Raises:
        InputError: if there is no file `readme`, or it has no markers.
    """
    page, block = render(results)
    if not readme.is_file():
        raise InputError(f"there is no file {readme}: name the README with --readme FILE")
    text = replace_block(readme.read_text(), block)
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / "README.md", page)
    write_atomically(results / RECORDS_FILE, records_page(results))
    write_atomically(readme, text)


def render(results: str | Path = "results") -> tuple[str, str]:
    """Return the text of ``results/README.md``, and the summary for ``README.md``."""
    read = {experiment: read_results(results, experiment) for experiment in (*EXPERIMENTS, ZOO)}
    tables = {experiment: table for experiment, table in read.items() if table is not None}
    if ZOO in tables:
        tables[RELATED] = tables[ZOO].assign(experiment=RELATED)
    verdicts = against_papers([table for experiment, table in tables.items() if experiment != ZOO])
    measured = Measured(Path(results), tables, verdicts)
    return _page(measured), _block(measured)


def _page(measured: Measured) -> str:
    lines = ["# Results", "", "Written by `python -m results render` from the CSV files here.", ""]
    lines += [_summary(measured), "", *_overview_of_papers(measured), "", HOW_TO_READ]
    for paper in PAPERS:
        lines += _paper(paper, measured)
    related = _rows(RELATED)
    lines += [f"## {RELATED_TITLE}", "", verdict_sentence(related, measured), "", RELATED_NOTE, ""]
    lines += [*published(related, measured), "", *not_reproduced(), ""]
    for experiment, part in OWN.items():
        lines += [f"## {part.heading}: `experiment={experiment}`", "", part.note, "", *_runs(experiment, measured), ""]
    attacked = read_robustness(measured.folder)
    if attacked is not None:
        lines += ["## Under attack", "", ROBUSTNESS_NOTE, "", *robustness_table(attacked), ""]
    found = read_searches(measured.folder)
    if found is not None:
        lines += ["## Searches of 48 epochs", "", SEARCHES_NOTE, "", *searches_table(found), ""]
    lines += [f"## {ZOO_TITLE}", "", ZOO_NOTE, "", *_runs(ZOO, measured), "", *_still_to_run(measured), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _rows(*experiments: str) -> list[Row]:
    return [row for row in published_rows() if row.experiment in experiments]


def _summary(measured: Measured) -> str:
    tested, counts = count_test_accuracies(measured.verdicts)
    of = sum(row.metric == "test_acc" and row.experiment not in FITTED for row in published_rows())
    return f"Of {of} comparisons with a published test accuracy {tested} were run: {counts}."


def _overview_of_papers(measured: Measured) -> list[str]:
    """Return the table of the papers: how many of their test accuracies were run, and our verdicts."""
    header = ("paper", "test accuracies", "run", *WORDS.values())
    sections = [(paper.title, tuple(paper.parts)) for paper in PAPERS] + [(RELATED_TITLE, (RELATED,))]
    body = []
    for title, experiments in sections:
        rows = [row for row in _rows(*experiments) if row.metric == "test_acc" and row.experiment not in FITTED]
        outcomes = [measured.best[row].outcome for row in rows if row in measured.best]
        counts = [outcomes.count(name) for name in WORDS]
        body.append((title, len(rows), sum(counts), *counts))
    return markdown(header, body)


def _paper(paper: Paper, measured: Measured) -> list[str]:
    """Return the section of a paper: verdict in words, then for each experiment its published numbers and our runs."""
    lines = [f"## {paper.title}", "", verdict_sentence(_rows(*paper.parts), measured), "", paper.note, ""]
    for experiment, part in paper.parts.items():
        rows = _rows(experiment)
        lines += [f"### {part.heading}: `experiment={experiment}`", "", part.note, ""]
        lines += [*published(rows, measured), ""] if rows else []
        lines += [*_runs(experiment, measured), ""]
        if part.committee and experiment in measured.tables:
            lines += [*majority_sentence(measured.tables[experiment], measured.folder, experiment), ""]
    votes = measured.folder / VOTES_FILE
    if "ensemble" in paper.parts and votes.exists():
        lines += ["### Votes, chosen on validation", "", *votes_table(pd.read_csv(votes)), ""]
    return lines


def _runs(experiment: str, measured: Measured) -> list[str]:
    """Return the table of our configurations of an experiment, and what their stored predictions decide."""
    table = measured.tables.get(experiment)
    if table is None:
        return [f"Not run yet: `{command(experiment, (), range(3))}`"]
    pairs = pairs_sentence(table, measured.folder, experiment)
    return ["Our runs:", "", *configurations(table, experiment), "", *pairs]


def _still_to_run(measured: Measured) -> list[str]:
    """Return the list of the planned runs that have no row or no predictions."""
    found = list(missing(measured.folder))
    if not found:
        return []
    hours = sum(each.hours for each in found)
    text = (
        f"{sum(len(each.seeds) for each in found)} runs, about {hours:.0f} hours on one core of a CPU. "
        f"`python -m results missing --run` trains them in this order and collects each."
    )
    header = ("command", "hours")
    body = [
        (f"`{command(each.planned.experiment, each.planned.settings, each.seeds)}`", f"{each.hours:.1f}")
        for each in found
    ]
    return ["## Still to run", "", text, "", *markdown(header, body)]


def _block(measured: Measured) -> str:
    """Return the lines for ``README.md``."""
    where = "Every number with its interval, its reason and its command: [results/README.md](results/README.md)."
    return f"{_summary(measured)}\n{where}\n"


def replace_block(text: str, block: str) -> str:
    """Return `text` with `block` in place of what is between the two markers.

    Raises:
        InputError: unless both markers are there, in order, each on its own line.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no lines {BEGIN} and {END}: add them where the summary belongs")
    return f"{before}{begin}{block}{end}{after}"
