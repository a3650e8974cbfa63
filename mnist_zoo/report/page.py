"""Write the report of finished runs as one HTML page and as Markdown."""

from __future__ import annotations

import base64
import io
import math
import shlex
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from mnist_zoo.errors import printable
from mnist_zoo.plots.style import FIGURE_DPI, style
from mnist_zoo.report.beyond import beyond_sections
from mnist_zoo.report.comparison import beside_papers, comparison
from mnist_zoo.report.data_size import data_size_sections
from mnist_zoo.report.first_epoch import first_epoch_sections
from mnist_zoo.report.measurements import read_measured
from mnist_zoo.report.networks import network_sections
from mnist_zoo.report.paper import latex, vector_graphics
from mnist_zoo.report.parts import parts_sections
from mnist_zoo.report.reading import NOT_IN_CSV, read_runs
from mnist_zoo.report.rendering import render
from mnist_zoo.report.robustness import robustness_sections
from mnist_zoo.report.sections import MOST_ROWS, Answer, Block, Section, shared_sections
from mnist_zoo.report.studies import study_sections
from mnist_zoo.report.summary import answer, command, commands
from mnist_zoo.report.suspects import label_error_sections
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.report.transfer import transfer_sections
from mnist_zoo.report.verdicts import against_papers
from mnist_zoo.report.writing import FIGURES, Output, png
from mnist_zoo.runs import Damaged

MOST_COMMANDS = 8  # on the first screen
MOST_WORDS = 5  # of a list of devices, versions or data sets in a sentence
CSS_DPI = 96  # CSS pixels per inch


def write_report(
    folders: Sequence[str | Path],
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    damaged: Damaged | None = None,
    for_paper: bool = False,
) -> Path:
    """Write ``report.html``, ``report.md``, ``figures/*.png`` and CSV files of the tables.

    Args:
        folders: sweeps, searches or run folders.
        out: folder to write to; ``report/`` in the first folder by default.
        data_root: folder of the data files; ``data`` by default. A run folder does not choose which files are opened.
        damaged: collects the damaged run folders and files of studies, which are left out and named on stderr.
        for_paper: whether to write each plot as SVG and PDF as well, of the width of a page, and each table as LaTeX.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: if there is no finished run, or if `out` cannot be written to.
        StorageError: if the disk is full.
    """
    damaged = Damaged() if damaged is None else damaged
    runs = read_runs(folders, damaged)
    sets, _ = group_by_images(runs.table, read_measured(folders, damaged))
    table = pd.concat([each.table for each in sets], ignore_index=True)
    page = Page(Output([Path(folder) for folder in folders], None if out is None else Path(out)), for_paper)
    with style(), warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.filterwarnings("ignore", message="Glyph")  # of a name in a script that matplotlib's font lacks
        for each in sets:
            page.answer(answer(each, each.name if len(sets) > 1 else ""))
        found = [*table["folder"], *(folder for folder, _ in runs.skipped)]
        verdicts = against_papers([table])
        for section in [comparison(table, verdicts), *beside_papers(verdicts), *study_sections(found, damaged)]:
            page.add(section)
        for each in sets:
            suffix = f" ({each.name})" if len(sets) > 1 else ""
            for section in [
                *shared_sections(each),
                *first_epoch_sections(each, damaged),
                *parts_sections(each),
                *data_size_sections(each),
                *robustness_sections(each),
                *beyond_sections(each),
                *transfer_sections(each),
                *network_sections(each, data_root),
            ]:
                page.add(section, suffix)
        for section in label_error_sections(found, damaged):
            page.add(section)
    plain = table.drop(columns=[*NOT_IN_CSV]).assign(command=[command(asked) for asked in table["overrides"]])
    page.output.write("runs.csv", plain.to_csv(index=False))
    title = ", ".join(dict.fromkeys(Path(folder).resolve().name for folder in folders))
    skipped = [f"{folder.name}: {reason}" for folder, reason in runs.skipped]
    page.commands = _commands(table, folders)
    return page.write(title, _facts(table, len(skipped)), skipped)


def _facts(table: pd.DataFrame, skipped: int) -> list[str]:
    """Return the sentences above the first table: which runs, which data, how they were trained and measured."""
    seeds = table.groupby("label")["seed"].nunique()
    span = _count(seeds.max(), "seed") if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()} seeds"
    sizes = table.drop_duplicates(["data", "n_train", "n_val", "n_test"]).head(MOST_WORDS)
    splits = [
        f"{r.data}: {r.n_train:,} training, {r.n_val:,} validation and {r.n_test:,} test images."
        for r in sizes.itertuples()
    ]
    versions = _distinct(
        f"mnist_zoo {v.get('mnist_zoo', '?')} and torch {v.get('torch', '?')}" for v in table["versions"]
    )
    commits = list(dict.fromkeys(v["commit"][:10] for v in table["versions"] if "commit" in v))
    commit = f" at commit {_distinct(commits)}" if commits else ", whose commit is not recorded"
    dates = sorted(date for date in table.get("date", pd.Series(dtype=str)).dropna())
    when = "" if not dates else f" on {dates[0]}" if dates[0] == dates[-1] else f" from {dates[0]} to {dates[-1]}"
    rates = table["lr"].unique()
    rate = f" with learning rate {rates[0]:g}" if len(rates) == 1 and not math.isnan(rates[0]) else ""
    with_epochs = ["Epochs are chosen on the validation images."] if table["epochs_run"].notna().any() else []
    left_out = f"; {skipped} left out (listed at the end)" if skipped else ""
    return [
        f"{_count(len(table), 'finished run')} of {_count(len(seeds), 'configuration')}, {span} each{left_out}.",
        *splits,
        f"Trained{when}{rate} on {_distinct(table['device'])}, with {versions}{commit}.",
        " ".join([*with_epochs, "The test images are used once, at the end; notes mark exceptions."]),
        "a ± b: mean over seeds, and half its 95 % interval (Student's t). A number without ± is of one seed.",
    ]


def _commands(table: pd.DataFrame, folders: Sequence[str | Path]) -> list[str]:
    """Return the lines that repeat the runs, at most `MOST_COMMANDS`, and the one that repeats the report."""
    asked = commands(table)
    more = [f"# and {len(asked) - MOST_COMMANDS} more: runs.csv"] if len(asked) > MOST_COMMANDS else []
    return [*asked[:MOST_COMMANDS], *more, shlex.join(["python", "-m", "mnist_zoo.report", *map(str, folders)])]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _distinct(values: Iterable[str]) -> str:
    words = list(dict.fromkeys(values))
    return ", ".join(words[:MOST_WORDS]) + (f" and {len(words) - MOST_WORDS} more" if len(words) > MOST_WORDS else "")


class Page:
    """Collects sections, writes their plots and CSV files to a folder, and finally the page itself.

    Texts come from run folders, which may hold anything: control characters are removed here, and the templates escape
    what HTML or Markdown would take for markup.
    """

    def __init__(self, output: Output, for_paper: bool = False):
        self.output, self._for_paper = output, for_paper
        self._sections: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self.commands: list[str] = []

    def answer(self, found: Answer) -> None:
        """Add an answer to the first screen."""
        cards = [{key: printable(text) for key, text in vars(card).items()} for card in found.cards]
        number = f"00-{len(self._answers) + 1}"
        self._answers.append(
            {
                "name": printable(found.name),
                "sentences": [printable(sentence) for sentence in found.sentences],
                "cards": cards,
                "plot": [self._block(block, number) for block in found.plot],
            }
        )

    def add(self, section: Section, suffix: str = "") -> None:
        """Add a section, with `suffix` behind its title; write its plots and the tables that have a file name."""
        number = len(self._sections) + 1
        blocks = [self._block(block, f"{number:02d}-{place}") for place, block in enumerate(section.blocks, 1)]
        self._sections.append({"title": printable(section.title + suffix), "id": f"section-{number}", "blocks": blocks})

    def _block(self, block: Block, number: str) -> dict[str, Any]:
        """Write the file of a block and return what the templates need of it."""
        caption = printable(block.caption)
        if isinstance(block.content, Figure | bytes):
            picture = block.content if isinstance(block.content, bytes) else png(block.content)
            file = f"{FIGURES}/{number}-{block.name}.png"
            self.output.write(file, picture)
            if self._for_paper and isinstance(block.content, Figure):
                for kind, content in vector_graphics(block.content).items():
                    self.output.write(f"{FIGURES}/{number}-{block.name}.{kind}", content)
            width = round(Image.open(io.BytesIO(picture)).width * CSS_DPI / FIGURE_DPI)
            inline = base64.b64encode(picture).decode()
            return {"kind": "figure", "file": file, "inline": inline, "caption": caption, "width": width}
        if isinstance(block.content, pd.DataFrame):
            if block.raw is not None:
                file = f"{self.output.free_name(block.name)}.csv"
                self.output.write(file, block.raw.to_csv(index=False))
                if len(block.raw) > MOST_ROWS:
                    caption += f" The first {MOST_ROWS} of {len(block.raw):,} rows; {file} has all."
            shown = block.content.head(MOST_ROWS)
            rows = [[printable(cell) for cell in row] for row in shown.astype(str).to_numpy().tolist()]
            header = [printable(column) for column in shown.columns]
            if self._for_paper:
                name = self.output.free_name(f"{number}-{block.name or 'table'}")
                self.output.write(f"{name}.tex", latex(header, rows, caption))
            return {"kind": "table", "header": header, "rows": rows, "caption": caption, "folded": block.folded}
        if isinstance(block.content, list):
            return {"kind": "list", "content": [printable(text) for text in block.content]}
        return {"kind": "text", "content": printable(block.content)}

    def write(self, title: str, facts: list[str], skipped: list[str]) -> Path:
        """Write ``report.md`` and ``report.html``, and return the path of the latter."""
        if len(skipped) > MOST_ROWS:
            self.output.write("left_out.csv", pd.DataFrame({"run": skipped}).to_csv(index=False))
            skipped = [*skipped[:MOST_ROWS], f"{len(skipped) - MOST_ROWS} more; left_out.csv has all"]
        content = {
            "title": printable(title),
            "facts": [printable(fact) for fact in facts],
            "commands": [printable(line) for line in self.commands],
            "answers": self._answers,
            "sections": self._sections,
            "skipped": [printable(line) for line in skipped],
        }
        for name, text in render(content, {}).items():
            self.output.write(name, text)
        return self.output.folder / "report.html"
