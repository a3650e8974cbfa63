"""Predictions as a table, as CSV, as JSON, and as a picture of the network's input images."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mnist_zoo.errors import InputError, printable
from mnist_zoo.files import require_regular, write_atomically
from mnist_zoo.weights.shipped import AUTO, FOLDER, PHOTOS, read_shipped_card

if TYPE_CHECKING:
    from mnist_zoo.inference.predict import Prediction

SHOWN = 1000  # images on one contact sheet
COLUMNS = 10  # tiles a row
TILE, GAP, CAPTION = 84, 8, 16  # pixels

TERMINAL = "-"  # instead of a file's name


@dataclass(frozen=True)
class Targets:
    """Where predictions are written: names of files, None to write nothing, or ``-`` for the terminal.

    The table is printed too, unless CSV or JSON is. Files that exist are replaced, because their names were given.

    Raises:
        InputError: if a file cannot be written, has the name of another one, or is something other than a regular
            file. It is checked here, before the time for the predictions is spent.
    """

    csv: str | None = None
    json: str | None = None
    picture: str | None = None
    explanation: str | None = None

    def __post_init__(self) -> None:
        if self.csv == self.json == TERMINAL:
            raise InputError("--csv - and --json - cannot both write to the terminal: write one of them to a file")
        seen: set[Path] = set()
        for name in self.files():
            if not Path(name).parent.is_dir():
                raise InputError(f"cannot write {name}: there is no folder {Path(name).parent}")
            target = require_regular(name)
            if target in seen:
                raise InputError(f"{name}: two outputs cannot be written to one file")
            seen.add(target)
        for option, file in (("--show", self.picture), ("--explain", self.explanation)):
            if file and Path(file).suffix.lower() != ".png":
                raise InputError(f"{option} {file}: the picture is a PNG; the name must end in .png")
        if self.explanation:
            from mnist_zoo.attribution import require_captum  # here: it imports torch, and most names are checked first

            require_captum()

    def files(self) -> list[str]:
        """Return the names of the files that are written."""
        return [name for name in (self.csv, self.json, self.picture, self.explanation) if name not in (None, TERMINAL)]

    def check_inputs(self, inputs: Iterable[str]) -> None:
        """Raise InputError if an output would replace one of these files, which are read."""
        targets = {Path(name).resolve(): name for name in self.files()}
        for name in inputs if targets else ():
            if (target := targets.get(Path(os.path.realpath(name)))) is not None:
                raise InputError(f"cannot write {target}: it is one of the files to read; choose another name")

    def write(self, predictions: Sequence[Prediction], source: str) -> list[Prediction]:
        """Print and write predictions of the network `source`, and return those of images that could not be read.

        The names of the files that were written and of these images go to stderr, or what else could be written; and
        which weights ``auto`` means.
        """
        if source == AUTO:
            print(_auto(), file=sys.stderr)
        failed = [prediction for prediction in predictions if prediction.error]
        if TERMINAL not in (self.csv, self.json):
            print(table(predictions), end="")
        for name, convert in ((self.csv, to_csv), (self.json, to_json), (self.picture, contact_sheet)):
            if name == TERMINAL:
                print(convert(predictions), end="")
            elif name is not None:
                write_atomically(Path(name), convert(predictions))
                print(f"wrote {name}", file=sys.stderr)
        if self.explanation and len(failed) < len(predictions):
            from mnist_zoo.inference.explain import explain  # here: it imports captum

            write_atomically(Path(self.explanation), explain(source, predictions))
            print(f"wrote {self.explanation}", file=sys.stderr)
        if not self.files() and TERMINAL not in (self.csv, self.json):
            print(
                "to see what the network saw: --show seen.png; to keep all probabilities: --csv FILE", file=sys.stderr
            )
        warned = sum(prediction.warning is not None for prediction in predictions)
        if warned:
            print(f"warning: {warned} of {len(predictions)} labels may mean nothing: see the notes", file=sys.stderr)
        for prediction in failed:
            print(f"error: {printable(prediction.image)} {printable(prediction.error)}", file=sys.stderr)
        return failed


def _auto() -> str:
    """Say which weights ``auto`` means."""
    card = read_shipped_card(FOLDER / f"{PHOTOS}.json")
    return f"auto: {PHOTOS}, {100 * card['test_acc']:.2f} % on MNIST's test set ({card['command']})"


def table(predictions: Sequence[Prediction]) -> str:
    """Return one line for each prediction: its three most probable classes with their probabilities, and a note.

    If several digits of an image are predicted, a last line for it shows their labels together.
    """
    names = [printable(prediction.image) for prediction in predictions]
    width = max([5, *map(len, names)])
    lines = [f"{'image':{width}}  prediction        second            third             note"]
    for name, prediction in zip(names, predictions, strict=True):
        cells = [f"{printable(label)} {probability:.4f}" for label, probability in prediction.top()]
        text = "could not be read" if prediction.error else "".join(f"{cell:18}" for cell in cells)
        lines.append(f"{name:{width}}  {text}{printable(prediction.warning or '')}".rstrip())
    together: dict[str, dict[object, str]] = {}  # labels by box: an image that was named twice has the same ones again
    for name, prediction in zip(names, predictions, strict=True):
        together.setdefault(name, {})[prediction.box] = printable(prediction.label)
    lines += [f"{name}: {' '.join(labels.values())}" for name, labels in together.items() if len(labels) > 1]
    return "\n".join(lines) + "\n"


def to_csv(predictions: Sequence[Prediction]) -> str:
    """Return CSV with one line for each prediction: image, label, probability, error, warning, all probabilities."""
    classes = next((list(p.probabilities) for p in predictions if p.probabilities), [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "probability", "error", "warning", *(f"p_{name}" for name in classes)])
    for p in predictions:
        image = p.image.encode(errors="backslashreplace").decode()  # a file's name need not be UTF-8
        writer.writerow([image, p.label, p.probability, p.error, p.warning, *(p.probabilities or {}).values()])
    return text.getvalue()


def to_json(predictions: Sequence[Prediction]) -> str:
    """Return a JSON list with one object for each prediction, with all its attributes but the pixels."""
    names = ("image", "label", "probability", "probabilities", "error", "warning", "box")
    return json.dumps([{name: getattr(p, name) for name in names} for p in predictions], indent=2) + "\n"


def contact_sheet(predictions: Sequence[Prediction]) -> bytes:
    """Return a PNG of the network's input for each of the first 1,000 readable images, captioned with the label."""
    seen = [p for p in predictions[:SHOWN] if p.pixels is not None]
    columns = max(1, min(COLUMNS, len(seen)))
    rows = max(1, -(-len(seen) // columns))
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), GAP + rows * (TILE + CAPTION + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, prediction in enumerate(seen):
        row, column = divmod(index, columns)
        left, top = GAP + column * (TILE + GAP), GAP + row * (TILE + CAPTION + GAP)
        sheet.paste(_image(prediction).resize((TILE, TILE), Image.Resampling.NEAREST), (left, top))
        doubt = "?" if prediction.warning else ""
        caption = f"{printable(prediction.label)}{doubt}  {prediction.probability:.3f}"
        caption = caption[:14]  # wider text would overlap the next tile
        draw.text((left, top + TILE + 2), caption, fill="black")
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _image(prediction: Prediction) -> Image.Image:
    """Return the network's input ``(1, H, W)`` as a grey image, or ``(3, H, W)`` as an RGB image."""
    assert prediction.pixels is not None
    channels = prediction.pixels
    return Image.fromarray(channels[0] if len(channels) == 1 else np.ascontiguousarray(channels.transpose(1, 2, 0)))
