"""Write the report of finished runs as one HTML page and as Markdown."""

from __future__ import annotations

import base64
import io
import math
import shlex
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from mnist_zoo.errors import printable
from mnist_zoo.plots.images import image_grid
from mnist_zoo.plots.style import FIGURE_DPI, style
from mnist_zoo.report.beyond import beyond_sections
from mnist_zoo.report.comparison import beside_papers, comparison
from mnist_zoo.report.data_size import data_size_sections
from mnist_zoo.report.drawn import panels
from mnist_zoo.report.exploring import page_data
from mnist_zoo.report.first_epoch import first_epoch_sections
from mnist_zoo.report.measurements import read_measured
from mnist_zoo.report.networks import network_sections
from mnist_zoo.report.paper import latex, vector_graphics
from mnist_zoo.report.parts import parts_sections
from mnist_zoo.report.reading import NOT_IN_CSV, read_runs
from mnist_zoo.report.rendering import render
from mnist_zoo.report.robustness import robustness_sections
from mnist_zoo.report.runs_table import runs_section
from mnist_zoo.report.sections import (
    MOST_EMBEDDED,
    MOST_ROWS,
    Answer,
    Block,
    Section,
    Sprite,
    Thumbnails,
    shared_sections,
)
from mnist_zoo.report.studies import study_sections
from mnist_zoo.report.summary import answer, command, commands, short_names
from mnist_zoo.report.suspects import label_error_sections
from mnist_zoo.report.tables import enumeration
from mnist_zoo.report.testsets import TestSet, group_by_images
from mnist_zoo.report.transfer import transfer_sections
from mnist_zoo.report.verdicts import against_papers
from mnist_zoo.report.writing import FIGURES, Output, png
from mnist_zoo.runs import Damaged
from mnist_zoo.waiting import Countdown

MOST_COMMANDS = 8  # on the first screen
MOST_WORDS = 5  # of a list of devices, versions or data sets in a sentence
CSS_DPI = 96  # CSS pixels per inch


def write_report(
    folders: Sequence[str | Path],
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    damaged: Damaged | None = None,
    for_paper: bool = False,
    live: str = "",
) -> Path:
    """Write ``report.html``, ``report.md``, ``figures/*.png`` and CSV files of the tables.

    Args:
        folders: sweeps, searches or run folders.
        out: folder to write to; ``report/`` in the first folder by default.
        data_root: folder of the data files; ``data`` by default. A run folder does not choose which files are opened.
        damaged: collects the damaged run folders and files of studies, which are left out and named on stderr.
        for_paper: whether to write each plot as SVG and PDF as well, of the width of a page, and each table as LaTeX.
        live: how far unfinished runs are. The page shows it, and loads itself again every few seconds.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: if there is no finished run, or if `out` cannot be written to.
        StorageError: if the disk is full.
    """
    damaged = Damaged() if damaged is None else damaged
    with Countdown("reading runs") as countdown:
        runs = read_runs(folders, damaged, countdown)
    sets, _ = group_by_images(runs.table, read_measured(folders, damaged))
    table = pd.concat([each.table for each in sets], ignore_index=True)
    page = Page(Output([Path(folder) for folder in folders], None if out is None else Path(out)), for_paper, live)
    with (
        Countdown("writing the report") as countdown,
        style(),
        warnings.catch_warnings(),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        warnings.filterwarnings("ignore", message="Glyph")  # of a name in a script that matplotlib's font lacks
        found = [*table["folder"], *(folder for folder, _ in runs.skipped)]
        _fill(page, sets, table, found, data_root, damaged, countdown)
    plain = table.drop(columns=[*NOT_IN_CSV]).assign(run=short_names(table["folder"]))
    plain["command"] = [command(asked) for asked in table["overrides"]]
    page.output.write("runs.csv", plain.to_csv(index=False))
    title = enumeration([*dict.fromkeys(Path(folder).resolve().name for folder in folders)])
    skipped = [f"{folder.name}: {reason}" for folder, reason in runs.skipped]
    page.commands = _commands(table, folders)
    return page.write(title, facts(table, len(skipped)), skipped)


def _fill(
    page: Page,
    sets: Sequence[TestSet],
    table: pd.DataFrame,
    found: Sequence[Path],
    data_root: str | Path | None,
    damaged: Damaged,
    countdown: Countdown,
) -> None:
    """Add the answers and all sections; `found` are all run folders, those left out included."""
    page.data |= page_data(sets)
    names = section_names(sets)
    for place, each in enumerate(sets):
        page.answer(answer(each, names[place]), place)
    verdicts = against_papers([table])
    for section in [
        comparison(table, verdicts),
        runs_section(table),
        *beside_papers(verdicts),
        *study_sections(found, damaged),
    ]:
        page.add(section)
    makers: tuple[Callable[[TestSet], Iterable[Section]], ...] = (
        shared_sections,
        lambda runs: first_epoch_sections(runs, damaged),
        parts_sections,
        data_size_sections,
        robustness_sections,
        beyond_sections,
        transfer_sections,
        lambda runs: network_sections(runs, data_root),
    )
    for place, each in enumerate(sets):
        suffix = f" ({names[place]})" if names[place] else ""
        for number, make in enumerate(makers):
            countdown((place + number / len(makers)) / len(sets))
            for section in make(each):
                page.add(section, suffix, place)
    for section in label_error_sections(found, damaged):
        page.add(section)


def section_names(sets: Sequence[TestSet]) -> list[str]:
    """Return names that tell test sets apart: of the data, numbered if it was split in several ways; empty for one."""
    of_data = [each.name for each in sets]
    names = []
    for place, name in enumerate(of_data):
        several = of_data.count(name)
        names.append(f"{name}, split {of_data[: place + 1].count(name)} of {several}" if several > 1 else name)
    return names if len(sets) > 1 else [""]


def facts(table: pd.DataFrame, skipped: int) -> list[str]:
    """Return the sentences above the first table: which runs, which data, how they were trained and measured."""
    seeds = table.groupby("label")["seed"].nunique()
    span = _count(seeds.max(), "seed") if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()} seeds"
    sizes = table.drop_duplicates(["data", "n_train", "n_val", "n_test"])
    splits = [
        f"{r.data}: {r.n_train:,} training, {r.n_val:,} validation and {r.n_test:,} test images."
        for r in sizes.head(MOST_WORDS).itertuples()
    ]
    splits += [f"And {len(sizes) - MOST_WORDS} more of such splits."] if len(sizes) > MOST_WORDS else []
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
        "a ± b: mean over seeds, and half its 95 % interval (Student's t); a [b, c]: with its bounds, near 0 or 100 %; "
        "a to b: the range over seeds that are too far apart for an interval. One seed has no interval.",
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

    def __init__(self, output: Output, for_paper: bool = False, live: str = ""):
        self.output, self._for_paper, self._live = output, for_paper, live
        self._sections: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self._sprites: dict[int, dict[str, int]] = {}
        self.commands: list[str] = []
        # For the scripts, see `page_data`; the rows that the page leaves out, and the values of plots by their numbers.
        self.data: dict[str, Any] = {"tables": {}, "drawn": {}}

    def answer(self, found: Answer, place: int) -> None:
        """Add the answer of the test set with this number to the first screen."""
        cards = [{key: printable(text) for key, text in vars(card).items()} for card in found.cards]
        number = f"00-{len(self._answers) + 1}"
        self._answers.append(
            {
                "name": printable(found.name),
                "sentences": [printable(sentence) for sentence in found.sentences],
                "cards": cards,
                "plot": [self._block(block, number, place) for block in found.plot],
            }
        )

    def add(self, section: Section, suffix: str = "", place: int = -1) -> None:
        """Add a section, with `suffix` behind its title; write its plots and the tables that have a file name.

        Args:
            section: the section.
            suffix: behind its title.
            place: number of its test set, or -1 for a section on all of them.
        """
        number = len(self._sections) + 1
        blocks = [self._block(block, f"{number:02d}-{n}", place) for n, block in enumerate(section.blocks, 1)]
        self._sections.append({"title": printable(section.title + suffix), "id": f"section-{number}", "blocks": blocks})

    def _block(self, block: Block, number: str, place: int) -> dict[str, Any]:
        """Write the file of a block and return what the templates need of it."""
        if isinstance(block.content, Figure | bytes):
            return self._figure(block.content, block, number, place)
        if isinstance(block.content, pd.DataFrame):
            return self._table(block.content, block, number)
        if isinstance(block.content, Sprite):
            return self._sprite(block.content, place)
        if isinstance(block.content, Thumbnails):
            return self._thumbnails(block.content, block, number, place)
        if isinstance(block.content, list):
            return {"kind": "list", "content": [printable(text) for text in block.content]}
        return {"kind": "text", "content": printable(block.content)}

    def _figure(self, content: Figure | bytes, block: Block, number: str, place: int) -> dict[str, Any]:
        picture = content if isinstance(content, bytes) else png(content)
        file = f"{FIGURES}/{number}-{block.name}.png"
        self.output.write(file, picture)
        if self._for_paper and isinstance(content, Figure):
            for kind, drawn in vector_graphics(content).items():
                self.output.write(f"{FIGURES}/{number}-{block.name}.{kind}", drawn)
        width = round(Image.open(io.BytesIO(picture)).width * CSS_DPI / FIGURE_DPI)
        found = {"kind": "figure", "file": file, "inline": base64.b64encode(picture).decode(), "width": width}
        if isinstance(content, Figure) and (values := panels(content)):
            self.data["drawn"][number] = values
        return found | {"caption": printable(block.caption), "name": block.name, "place": place, "number": number}

    def _sprite(self, content: Sprite, place: int) -> dict[str, Any]:
        names = [printable(name) for name in content.class_names]
        sizes = {key: getattr(content, key) for key in ("across", "count", "height", "width")}
        self._sprites[place] = sizes
        self.data["sets"][place] |= {"sprite": sizes, "classes": names}
        down = -(-content.count // content.across)
        whole = {"whole_width": content.across * content.width, "whole_height": down * content.height}
        return {
            "kind": "sprite",
            "id": f"sprite-{place}",
            "inline": base64.b64encode(content.picture).decode(),
            **whole,
        }

    def _thumbnails(self, content: Thumbnails, block: Block, number: str, place: int) -> dict[str, Any]:
        """Return the parts of the sprite; ``report.md`` shows a plot of the same images."""
        plot = self._figure(image_grid(content.images, content.captions), block, number, place)
        size, shown = self._sprites[place], []
        for where, caption in zip(content.places, content.captions, strict=True):
            down, right = divmod(where, size["across"])
            box = f"{right * size['width']} {down * size['height']} {size['width']} {size['height']}"
            shown.append({"box": box, "caption": printable(caption.replace("\n", ", ")), "place": where})
        return plot | {"kind": "thumbnails", "sprite": f"sprite-{place}", "shown": shown, "inline": ""}

    def _table(self, content: pd.DataFrame, block: Block, number: str) -> dict[str, Any]:
        """Return a table with its first `MOST_ROWS` rows. The scripts of the page have up to `MOST_EMBEDDED`."""
        caption, file, count = printable(block.caption), f"{block.name}.csv", len(content)
        if block.raw is not None:
            file, count = f"{self.output.free_name(block.name)}.csv", len(block.raw)
            self.output.write(file, block.raw.to_csv(index=False))
        cut = f"The first {MOST_ROWS} of {count:,} rows; {file} has all." if count > MOST_ROWS else ""
        texts = content.head(MOST_EMBEDDED).astype(str).to_numpy().tolist()
        rows = [[printable(cell) for cell in row] for row in texts]
        header = [printable(column) for column in content.columns]
        if self._for_paper:
            name = self.output.free_name(f"{number}-{block.name or 'table'}")
            self.output.write(f"{name}.tex", latex(header, rows[:MOST_ROWS], f"{caption} {cut}".strip()))
        if len(rows) > MOST_ROWS:
            self.data["tables"][number] = rows[MOST_ROWS:]
        found = {"kind": "table", "header": header, "rows": rows[:MOST_ROWS], "caption": caption, "number": number}
        summary = printable(block.folded) if isinstance(block.folded, str) else f"{count:,} rows"
        return found | {"cut": cut, "whole": len(rows) == count, "folded": bool(block.folded), "summary": summary}

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
            "live": printable(self._live),
        }
        for name, text in render(content, self.data).items():
            self.output.write(name, text)
        return self.output.folder / "report.html"
