"""Write the notebooks of the course from source/*.py and execute them: python notebooks/course/build.py [LESSON...]

A source file has cells, each below a line ``# %% KIND``:

- ``# %% [markdown]``: text, as comments;
- ``# %%``: code of both notebooks;
- ``# %% exercise``: the cell that students complete, and below it ``# %% solution``: the same, completed. The lesson
  has the first, its solution the second.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "source").glob("*.py"))
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
PATH = 'import sys\n\nsys.path.insert(0, "..")  # the folder of checks.py'


def notebook(source: Path, solved: bool) -> dict[str, Any]:
    """Return the notebook of a lesson, or of its solution, without outputs."""
    cells = []
    for kind, text in re.findall(r"^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", source.read_text(), re.MULTILINE | re.DOTALL):
        kind, text = kind.strip(), text.strip("\n")
        if kind == ("exercise" if solved else "solution"):
            continue
        cell: dict[str, Any] = {"id": f"{source.stem}-{len(cells)}", "metadata": {}}
        if kind == "[markdown]":
            cell |= {"cell_type": "markdown", "source": re.sub(r"^# ?", "", text, flags=re.MULTILINE)}
        else:
            if solved and "import checks" in text:
                text = f"{PATH}\n\n{text}"
            cell |= {"cell_type": "code", "source": text, "execution_count": None, "outputs": []}
        cells.append(cell)
    return {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


def place(source: Path, solved: bool) -> Path:
    """Return the file of a lesson's notebook, or of its solution."""
    return (HERE / "solutions" if solved else HERE) / f"{source.stem}.ipynb"


def execute(content: dict[str, Any], folder: Path) -> Any:
    """Return a notebook that was executed in a folder."""
    import nbclient
    import nbformat

    made = nbformat.from_dict(content)
    nbclient.NotebookClient(made, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in made.cells:
        cell.metadata.clear()  # times of execution
    return made


if __name__ == "__main__":
    chosen = sys.argv[1:] or [source.stem for source in SOURCES]
    strange = sorted({*chosen} - {source.stem for source in SOURCES})
    if strange:
        sys.exit(f"error: no lesson {strange[0]}; known: {', '.join(source.stem for source in SOURCES)}")

    import nbformat

    for lesson in SOURCES:
        if lesson.stem not in chosen:
            continue
        for solved in (False, True):
            target = place(lesson, solved)
            nbformat.write(execute(notebook(lesson, solved), target.parent), target)
            print(f"wrote {target}")
