"""``python -m benchmarks.photo_table --against DIR``: how `predict` reads drawn photographs, before and after.

It draws the pictures of `benchmarks.photos` from MNIST's test images, lets ``python -m mnist_zoo.predict`` of another
checkout and of this one read them, measures the speed of the conversion, and writes photos.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.photos import NONE, SEVERAL, SINGLE, Photo, draw_photos
from mnist_zoo.command import one_line_errors
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.inference.predict import predict_images

HERE = Path(__file__).resolve().parents[1]
PAGE = Path("benchmarks/photos.md")
# Run in each checkout: images a second of the conversion on one thread, in processor time, the best of five passes.
SPEED = """
import time, numpy as np
from PIL import Image
from mnist_zoo.inference.digitise import digitise
digits = np.load({digits!r})
scans = [Image.fromarray(digit) for digit in digits]
photos = [Image.fromarray(255 - digit).resize((100, 100)).convert("RGB") for digit in digits]
shade = np.linspace(0.3, 1, 100)[None, :, None]
uneven = [Image.fromarray((np.asarray(photo) * shade).astype(np.uint8)) for photo in photos]
for images in (scans, photos, uneven):
    times = []
    for _ in range(5):
        start = time.process_time()
        for image in images:
            digitise(image)
        times.append(time.process_time() - start)
    print(len(images) / min(times))
"""
SETS = ("28x28, even background", "100x100 RGB, even background", "100x100 RGB, uneven light")


def main(arguments: list[str] | None = None) -> None:
    """Draw, read, count and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photo_table", description=__doc__)
    parser.add_argument("--against", type=Path, required=True, metavar="DIR", help="the checkout to compare with")
    parser.add_argument("--before", default="cnn_dropout", metavar="NAME", help="weights of the other checkout")
    parser.add_argument("--count", type=int, default=100, help="pictures of each kind (100)")
    parser.add_argument("--seed", type=int, default=1, help="of the pictures (1; the conversion was written with 0)")
    parser.add_argument("--data-root", default="data", metavar="DIR", help="folder that holds MNIST/raw")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help=f"the page ({PAGE})")
    options = parser.parse_args(arguments)
    with one_line_errors():
        options.out.write_text("\n".join(_page(options)) + "\n")
        print(options.out)


def _page(options: argparse.Namespace) -> list[str]:
    """Return the lines of the page."""
    if not (options.against / "mnist_zoo" / "__init__.py").is_file():
        raise InputError(f"--against {options.against} is not a checkout of the library: it has no mnist_zoo/")
    data = MNISTDataModule("mnist", root=options.data_root, fallback=None)
    images, labels = data.images("test").numpy()[:, 0], data.labels("test").numpy()
    half = len(images) // 2  # the other half is for development
    with tempfile.TemporaryDirectory(prefix="mnist_zoo_photos_") as scratch:
        folder = Path(scratch)
        photos = list(draw_photos(images[:half], labels[:half], options.count, options.seed))
        for number, photo in enumerate(photos):
            photo.image.save(folder / f"{number:06d}.png")
        there = _read(options.against, options.before, folder)
        same, now = (_read(HERE, source, folder) for source in (options.before, "auto"))
        many = _read(HERE, "auto", folder, "--many")
        rows = [count_kind(kind, photos, there, same, now, many) for kind in (*SINGLE, *NONE, SEVERAL)]
        warned = ", ".join(_warned(source, images) for source in (options.before, "auto"))
        speed = _speeds([options.against, HERE], images[:500], folder / "digits.npy")
    return [
        "# Photographs",
        "",
        f"Written by `python -m benchmarks.photo_table --against DIR --count {options.count} --seed {options.seed}`. "
        f"The pictures are drawn (`benchmarks/photos.py`): print in eleven fonts, and handwriting of MNIST's test "
        f"images, enlarged to ink on paper. Before: the other checkout with `{options.before}`. Right: the label, "
        "with a warning or without; of several digits all of them, in order, with `--many`. Warned: with a warning, or "
        "refused as blank.",
        "",
        f"| kind | pictures | before: right | warned | `{options.before}`: right | warned | `auto`: right | warned |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Warned of MNIST's {len(images):,} test images: {warned}.",
        "",
        "Images a second that the conversion takes on one thread:",
        "",
        "| images | before | after |",
        "|---|---|---|",
        *(f"| {name} | {old:,.0f} | {new:,.0f} |" for name, old, new in zip(SETS, *speed, strict=True)),
    ]


def _read(checkout: Path, source: str, folder: Path, *more: str) -> dict[str, list[dict[str, Any]]]:
    """Return what `predict` of a checkout says of the images in a folder: predictions by file."""
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    line = [sys.executable, "-m", "mnist_zoo.predict", source, str(folder), "--json", str(out), *more]
    done = subprocess.run(line, cwd=checkout, env=_environment(checkout), capture_output=True, text=True)
    if not out.is_file():
        raise InputError(f"{checkout}: {(done.stderr.splitlines() or ['no output'])[-1]}")
    found: dict[str, list[dict[str, Any]]] = {}
    for prediction in json.loads(out.read_text()):
        found.setdefault(Path(prediction["image"]).name, []).append(prediction)
    return found


def _environment(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}


def count_kind(kind: str, photos: list[Photo], *found: dict[str, list[dict[str, Any]]]) -> str:
    """Return a row of the table: of a kind, counted over all its pictures."""
    chosen = {f"{number:06d}.png": photo.digits for number, photo in enumerate(photos) if photo.kind == kind}
    cells = []
    for predictions in found[:3]:
        ones = [predictions[name][0] for name in chosen]
        right = sum(one["label"] == digits for one, digits in zip(ones, chosen.values(), strict=True))
        warned = sum(bool(one["error"] or one.get("warning")) for one in ones)
        cells += [f"{right}" if kind in SINGLE else "", f"{warned}"]
    if kind == SEVERAL:
        read = ("".join(p["label"] or "" for p in found[3][name]) for name in chosen)
        cells[4] = f"{sum(text == digits for text, digits in zip(read, chosen.values(), strict=True))}"
    return f"| {kind} | {len(chosen)} | {' | '.join(cells)} |"


def _warned(source: str, images: Any) -> str:
    """Return at how many of these digits `predict` warns."""
    warned = sum(one.warning is not None for one in predict_images(source, images))
    return f"`{source}`: {warned} ({100 * warned / len(images):.1f} %)"


def _speeds(checkouts: Iterable[Path], images: Any, file: Path) -> list[list[float]]:
    """Return for each checkout the images a second of `SETS`."""
    import numpy as np

    np.save(file, images)
    code, found = SPEED.format(digits=str(file)), []
    for checkout in checkouts:
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, cwd=checkout, env=_environment(checkout), capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{checkout}: {(done.stderr.splitlines() or ['no output'])[-1]}")
        found.append([float(value) for value in done.stdout.split()])
    return found


if __name__ == "__main__":
    main()
