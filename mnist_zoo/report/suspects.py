"""The report's section on label errors: what ``python -m mnist_zoo.label_errors`` wrote into the folder of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mnist_zoo.report.sections import OPEN_ROWS, Block, Section
from mnist_zoo.report.writing import checked_png
from mnist_zoo.runs import Damaged, DamagedFile

FOLDER = "label_errors"  # in the folder of the sweep
CURE = "run python -m mnist_zoo.label_errors again"
LARGEST = 16 * 1024**2  # bytes of a table
COLUMNS = ("rank", "image", "given", "likely", "p_given", "p_likely", "issue")


def label_error_sections(run_folders: Iterable[Path], damaged: Damaged) -> list[Section]:
    """Return one section for each sweep of which the label errors were written.

    Args:
        run_folders: of the report.
        damaged: collects the damaged files, which are left out.
    """
    sections = []
    for sweep in sorted({folder.parent for folder in map(Path, run_folders)}):
        if (sweep / FOLDER).is_dir() and not (sweep / FOLDER).is_symlink():
            with damaged.skipped(sweep / FOLDER):
                sections.append(_section(sweep / FOLDER))
    return sections


def _section(folder: Path) -> Section:
    blocks = []
    for split, name in (("test", "test"), ("train", "training")):
        table = read_suspects(folder / f"{split}.csv")
        caption = f"The most suspicious {name} images: number, given and likely label."
        if "known" in table:
            caption += " Orange: the label is known to be wrong (Northcutt et al. 2021)."
        blocks.append(Block("figure", checked_png(folder / f"{split}.png", CURE), caption, f"label-errors-{split}"))
        caption = (
            f"Out-of-fold probabilities of the given and of the likely label; issue: removed by confident learning, "
            f"{int((table['issue'] == 'True').sum())} of the {name} images."
        )
        blocks.append(Block("table", table, caption, f"label_errors_{split}", table, folded=len(table) > OPEN_ROWS))
    return Section("Label errors", blocks)


def read_suspects(path: Path) -> pd.DataFrame:
    """Return a table that `write_label_errors` wrote, as texts.

    Raises:
        DamagedFile: if the file is not such a table.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        raise DamagedFile(path, "it is not a regular file of a table's size", CURE)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", on_bad_lines="error")
    except (ValueError, UnicodeDecodeError) as error:
        raise DamagedFile(path, "it is not a table", CURE) from error
    if list(table.columns)[: len(COLUMNS)] != list(COLUMNS):
        raise DamagedFile(path, "it lacks columns", CURE)
    return table
