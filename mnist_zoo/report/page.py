"""The report: everything over finished runs on one HTML page, and the same as Markdown."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from mnist_zoo import __version__
from mnist_zoo.errors import InputError
from mnist_zoo.plots.style import style
from mnist_zoo.report.networks import network_sections
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.sections import beside_papers, comparison, shared_sections
from mnist_zoo.report.studies import FIGURE_DPI, study_sections
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.runs import write_atomically


def write_report(
    folders: Sequence[str | Path], out: str | Path | None = None, data_root: str | Path | None = None
) -> Path:
    """Write ``report.html``, ``report.md``, ``figures/*.png`` and the tables behind them as CSV.

    Args:
        folders: sweeps, searches or run folders.
        out: where to write; ``report/`` in the first folder by default.
        data_root: where the images are, if not where the runs found them.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: if there is no finished run, or `out` cannot be written to.
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
        for section in [*comparison(table), *beside_papers(table), *study_sections(found)]:
            page.add(section)
        for each in sets:
            suffix = f" ({each.name})" if len(sets) > 1 else ""
            for section in [*shared_sections(each), *network_sections(each, data_root)]:
                page.add(section, suffix)
    facts = _facts(table, skipped)
    columns = [column for column in table if column not in ("settings", "overrides", "folder")]
    write_atomically(out / "runs.csv", table[columns].to_csv(index=False))
    title = ", ".join(dict.fromkeys(Path(folder).resolve().name for folder in folders))
    return page.write(title, facts, [f"{folder.name}: {reason}" for folder, reason in skipped])


def _facts(table: pd.DataFrame, skipped: list) -> list[str]:
    """Return what a reader must know before the first table."""
    seeds = table.groupby("label")["seed"].nunique()
    span = _count(seeds.max(), "seed") if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()} seeds"
    sizes = table.drop_duplicates(["data", "n_train", "n_val", "n_test"])
    used = [
        f"{r.data}: {r.n_train:,} to train, {r.n_val:,} to validate, {r.n_test:,} to test" for r in sizes.itertuples()
    ]
    versions = _distinct(f"torch {v.get('torch', '?')}" for v in table["versions"] if isinstance(v, dict))
    rate = f" at lr {table['lr'].iloc[0]:g}" if table["lr"].nunique() == 1 else ""
    left_out = f"; {len(skipped)} left out (listed at the end)" if skipped else ""
    return [
        f"{_count(len(table), 'finished run')} of {_count(len(seeds), 'configuration')}, {span} each{left_out}",
        *used,
        f"trained{rate} on {_distinct(table['device'])}, with {versions}",
        "Epochs are chosen on validation images; the test images are read once, after that (a note tells where not).",
        "a ± b: mean over seeds and half its 95 % interval (Student's t); without ± there is but one seed.",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _png(content: Figure | Path) -> tuple[bytes, float]:
    """Return a figure, or the file that holds one, as PNG and its dots per inch."""
    if isinstance(content, Path):
        return content.read_bytes(), FIGURE_DPI
    picture = io.BytesIO()
    content.savefig(picture, format="png", bbox_inches="tight", pad_inches=0.08)
    return picture.getvalue(), content.dpi


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


@dataclass
class Page:
    """Sections on their way to a file, figures as PNG beside it."""

    out: Path
    sections: list[dict] = field(default_factory=list)

    def add(self, section, suffix: str = "") -> None:
        """Take a `Section`, save its figures and the tables that have a file name."""
        blocks = []
        number = len(self.sections) + 1
        for place, block in enumerate(section.blocks, 1):
            if block.kind == "figure":
                picture, dpi = _png(block.content)
                name = f"{number:02d}-{place}-{block.name}.png"
                write_atomically(self.out / "figures" / name, picture)
                inline = base64.b64encode(picture).decode()
                pixels = int.from_bytes(picture[16:20], "big")  # the width in a PNG's header
                width = round(pixels * 96 / dpi)  # CSS pixels: 96 an inch
                blocks.append(
                    {
                        "kind": "figure",
                        "file": f"figures/{name}",
                        "inline": inline,
                        "caption": block.caption,
                        "width": width,
                    }
                )
            elif block.kind == "table":
                if block.name:
                    write_atomically(self.out / f"{block.name}.csv", block.raw.to_csv(index=False))
                rows = block.content.astype(str).to_numpy().tolist()
                header = [str(column) for column in block.content.columns]
                blocks.append(
                    {"kind": "table", "header": header, "rows": rows, "caption": block.caption, "folded": block.folded}
                )
            else:
                blocks.append({"kind": block.kind, "content": block.content})
        self.sections.append({"title": section.title + suffix, "id": f"section-{number}", "blocks": blocks})

    def write(self, title: str, facts: list[str], skipped: list[str]) -> Path:
        """Render both templates."""
        environment = Environment(
            loader=PackageLoader("mnist_zoo.report"),
            autoescape=lambda name: name.endswith(".html.j2"),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        content = {
            "title": title,
            "facts": facts,
            "sections": self.sections,
            "skipped": skipped,
            "date": time.strftime("%Y-%m-%d"),
            "version": __version__,
        }
        for name in ("report.md", "report.html"):
            write_atomically(self.out / name, environment.get_template(f"{name}.j2").render(content))
        return self.out / "report.html"
