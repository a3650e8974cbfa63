"""Questions answered with ``python -m mnist_zoo.versus``: ``python -m results.versus_questions NAME ...`` asks them.

Without names it lists them. Every answer becomes a row of ``results/versus.csv``; ``self`` asks for 20 comparisons of a
configuration with itself on the embedded digits, side B with other seeds.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_zoo.command import one_line_errors
from mnist_zoo.errors import unknown
from mnist_zoo.files import write_atomically
from mnist_zoo.versus.__main__ import main as versus

FILE = Path(__file__).with_name("versus.csv")
QUESTIONS = {
    "adamw": "model=mlp epochs=3 logger=none --a optimizer=adam --b optimizer=adamw",
    "affine_at_equal_time": (
        "model=cnn epochs=4 logger=none --metric accuracy_at_equal_time --a augment=none --b augment=affine"
    ),
    "dropout": "model=cnn epochs=3 logger=none --a model.dropout=0.0 --b model.dropout=0.25 model.dropout_dense=0.5",
    "label_smoothing": "model=cnn_strided epochs=2 logger=none --a label_smoothing=0.0 --b label_smoothing=0.05",
    "mixup": "data=fashion_mnist model=cnn_strided epochs=2 logger=none --a augment=none --b augment=mixup",
}
SELF = (
    "data=mnist5k data.val_size=1000 model=mlp epochs=1 trainer=cpu logger=none data.split_seed={number} --a lr=1e-3 "
    "--b lr=1e-3 --b-seed-offset 1000 --margin 1 --max-seeds 8"
)
QUESTIONS |= {f"self_{number:02d}": SELF.format(number=number) for number in range(20)}


def ask(name: str) -> dict[str, Any]:
    """Ask a question, or read its answer if it is known, and return its row."""
    sys.argv = ["versus", *shlex.split(QUESTIONS[name]), "--name", name]
    versus()
    record = json.loads(Path("outputs/versus", name, "versus.json").read_text())
    (candidate,) = record["candidates"]
    last = candidate["looks"][-1]
    return {
        "question": name,
        "answer": candidate["answer"],
        "seeds": last["seeds"],
        "fixed_size_seeds": candidate["fixed_size_seeds"],
        "difference": f"{last['mean']:.4g}",
        "low": f"{last['low']:.4g}",
        "high": f"{last['high']:.4g}",
        "unit": record["unit"],
        "margin": record["margin"],
        "validation_images": record["validation_images"],
        "command": f"python -m mnist_zoo.versus {QUESTIONS[name]}",
    }


def main() -> None:
    """Ask the questions that the arguments name, and add their rows to the file."""
    with one_line_errors():
        if not sys.argv[1:]:
            print("\n".join(f"{name}: python -m mnist_zoo.versus {words}" for name, words in QUESTIONS.items()))
        for name in chosen(sys.argv[1:]):
            row = ask(name)
            known = list(csv.DictReader(FILE.read_text().splitlines())) if FILE.exists() else []
            others = [each for each in known if each["question"] != name]
            text = io.StringIO()
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted([*others, row], key=lambda each: each["question"]))
            write_atomically(FILE, text.getvalue())


def chosen(words: Sequence[str]) -> list[str]:
    """Return the questions that words name: ``self`` names all that begin with ``self_``.

    Raises:
        InputError: if a word names none.
    """
    found: list[str] = []
    for word in words:
        named = [name for name in QUESTIONS if name == word or name.startswith(f"{word}_")]
        if not named:
            raise unknown("question", word, QUESTIONS)
        found += named
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    main()
