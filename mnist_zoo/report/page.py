"""Write the report of finished runs as one HTML page and as Markdown."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from PIL import Image

from mnist_zoo import __version__
from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.style import FIGURE_DPI, style
from mnist_zoo.plots.tables import markdown
from mnist_zoo.report.networks import network_sections
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.sections import Block, Section, beside_papers, comparison, shared_sections
from mnist_zoo.report.studies import study_sections
from mnist_zoo.report.testsets import group_by_images

CSS_DPI = 96  # CSS pixels per inch


def write_report(
    folders: Sequence[str | Path], out: str | Path | None = None, data_root: str | Path | None = None
) -> Path:
    """Write ``report.html``, ``report.md``, ``figures/*.png`` and CSV files of the tables.

    Args:
        folders: sweeps, searches or run folders.
        out: folder to write to; ``report/`` in the first folder by default.
        data_root: folder of the data files, if they are no longer where the runs found them.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: if there is no finished run, or if `out` cannot be written to.
    """
    runs = read_runs(folders)
    sets, broken = group_by_images(runs.table)
    if not sets:
        raise InputError(f"no finished run has readable predictions; the first: {broken[0][0].name}: {broken[0][1]}")
    skipped = runs.skipped + broken
    table = pd.concat([each.table for each in sets], ignore_index=True)
    out = Path(out) if out is not None else Path(folders[0]) / "report"
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}): choose another folder with --out DIR") from error
    page = Page(out)
    with style():
        found = [*table["folder"], *(folder for folder, _ in skipped)]
        for section in [comparison(table), *beside_papers(table), *study_sections(found)]:
            page.add(section)
        for each in sets:
            suffix = f" ({each.name})" if len(sets) > 1 else ""
            for section in [*shared_sections(each), *network_sections(each, data_root)]:
                page.add(section, suffix)
    columns = [column for column in table if column not in ("settings", "overrides", "folder")]
    write_atomically(out / "runs.csv", table[columns].to_csv(index=False))
    title = ", ".join(dict.fromkeys(Path(folder).resolve().name for folder in folders))
    return page.write(title, _facts(table, len(skipped)), [f"{folder.name}: {reason}" for folder, reason in skipped])


def _facts(table: pd.DataFrame, skipped: int) -> list[str]:
    """Return the sentences above the first table: which runs, which data, how they were trained and measured."""
    seeds = table.groupby("label")["seed"].nunique()
    span = _count(seeds.max(), "seed") if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()} seeds"
    sizes = table.drop_duplicates(["data", "n_train", "n_val", "n_test"])
    splits = [
        f"{r.data}: {r.n_train:,} training, {r.n_val:,} validation and {r.n_test:,} test images."
        for r in sizes.itertuples()
    ]
    versions = _distinct(f"torch {v.get('torch', '?')}" for v in table["versions"] if isinstance(v, dict))
    rate = f" with learning rate {table['lr'].iloc[0]:g}" if table["lr"].nunique() == 1 else ""
    left_out = f"; {skipped} left out (listed at the end)" if skipped else ""
    return [
        f"{_count(len(table), 'finished run')} of {_count(len(seeds), 'configuration')}, {span} each{left_out}.",
        *splits,
        f"Trained{rate} on {_distinct(table['device'])}, with {versions}.",
        "Epochs are chosen on the validation images. The test images are used once, at the end; notes mark exceptions.",
        "a ± b: mean over seeds, and half its 95 % interval (Student's t). A number without ± is of one seed.",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


class Page:
    """Collects sections, writes their plots and CSV files to a folder, and finally the page itself."""

    def __init__(self, out: Path):
        self.out = out
        self._sections: list[dict[str, Any]] = []

    def add(self, section: Section, suffix: str = "") -> None:
        """Add a section, with `suffix` behind its title; write its plots and the tables that have a file name."""
        number = len(self._sections) + 1
        blocks = [self._block(block, f"{number:02d}-{place}") for place, block in enumerate(section.blocks, 1)]
        self._sections.append({"title": section.title + suffix, "id": f"section-{number}", "blocks": blocks})

    def _block(self, block: Block, number: str) -> dict[str, Any]:
        """Write the file of a block and return what the templates need of it."""
        if isinstance(block.content, Figure | Path):
            picture = _png(block.content)
            file = f"figures/{number}-{block.name}.png"
            write_atomically(self.out / file, picture)
            width = round(Image.open(io.BytesIO(picture)).width * CSS_DPI / FIGURE_DPI)
            inline = base64.b64encode(picture).decode()
            return {"kind": "figure", "file": file, "inline": inline, "caption": block.caption, "width": width}
        if isinstance(block.content, pd.DataFrame):
            if block.raw is not None:
                write_atomically(self.out / f"{block.name}.csv", block.raw.to_csv(index=False))
            rows = block.content.astype(str).to_numpy().tolist()
            header = [str(column) for column in block.content.columns]
            return {"kind": "table", "header": header, "rows": rows, "caption": block.caption, "folded": block.folded}
        return {"kind": block.kind, "content": block.content}

    def write(self, title: str, facts: list[str], skipped: list[str]) -> Path:
        """Write ``report.md`` and ``report.html``, and return the path of the latter."""
        environment = Environment(
            loader=PackageLoader("mnist_zoo.report"),
            autoescape=lambda name: name is not None and name.endswith(".html.j2"),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        content = {
            "title": title,
            "facts": facts,
            "sections": self._sections,
            "skipped": skipped,
            "date": time.strftime("%Y-%m-%d"),
            "version": __version__,
            "markdown": markdown,
        }
        for name in ("report.md", "report.html"):
            write_atomically(self.out / name, environment.get_template(f"{name}.j2").render(content))
        return self.out / "report.html"


def _png(content: Figure | Path) -> bytes:
    """Return a plot, or the file of one, as PNG."""
    if isinstance(content, Path):
        return content.read_bytes()
    picture = io.BytesIO()
    content.savefig(picture, format="png", dpi=FIGURE_DPI, bbox_inches="tight", pad_inches=0.08)
    return picture.getvalue()
