"""``python -m mnist_zoo.predict``: say what digits images show, with any trained network."""

from __future__ import annotations

import argparse
import csv
import glob
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_zoo.errors import InputError, ZooError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import nn

    from mnist_zoo.weights import Description

BATCH_SIZE = 256  # images decoded and classified at once
SHOWN = 1000  # pictures on one sheet


@dataclass(frozen=True)
class Prediction:
    """What a network makes of one image.

    Attributes:
        image: its file, or ``image 0``, ``image 1``, ... for those that came without one.
        label: the class with the highest probability, or None if the image could not be read.
        probability: of that class.
        probabilities: of every class, by name, in label order; they sum to 1.
        pixels: what the network saw, uint8 ``(C, H, W)``, or None.
        error: why the image could not be read, or None.
    """

    image: str
    label: str | None = None
    probability: float = 0.0
    probabilities: dict[str, float] | None = None
    pixels: np.ndarray | None = None
    error: str | None = None

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the most probable classes and their probabilities, best first."""
        return sorted((self.probabilities or {}).items(), key=lambda item: -item[1])[:count]


def predict_images(
    source: str | Path, images: Iterable[str | Path | Image | np.ndarray], *, raw: bool = False
) -> list[Prediction]:
    """Say what each image shows.

    Args:
        source: a run folder, a checkpoint, a safetensors file, or a name that comes with weights (``cnn_dropout``).
        images: files (PNG, JPEG, WebP, BMP and what else Pillow reads), Pillow images, or arrays uint8 ``(H, W)`` or
            ``(H, W, 3)``; of any size, grey or colour, dark on light or light on dark. They are digitised as MNIST
            was: see `mnist_zoo.digitise.digitise`.
        raw: the images already are as the network's training images were (MNIST: 28x28, light on black).

    Returns:
        One prediction an image, in order. An image that cannot be read has an ``error`` instead of a label.

    Raises:
        InputError: if there is no such network, or its images are no digits and `raw` is not set.

    Example:
        >>> import numpy as np
        >>> from mnist_zoo import predict_images
        >>> paper = np.full((90, 60), 255, np.uint8)
        >>> paper[20:70, 28:33] = 40  # a stroke of ink
        >>> [one] = predict_images("cnn_dropout", [paper])
        >>> one.label
        '1'
    """
    return list(_predictions(source, list(images), raw))


def _predictions(source: str | Path, images: Sequence, raw: bool) -> Iterator[Prediction]:
    from mnist_zoo.weights import read_weights  # torch comes with it

    weights = read_weights(source)
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were scaled (no MNISTDataModule)")
    _check_recipe(known, raw)
    model = weights.build()
    numbered = iter(enumerate(images))
    while batch := list(islice(numbered, BATCH_SIZE)):
        yield from _predict_batch(model, known, batch, raw)


def _check_recipe(known: Description, raw: bool) -> None:
    from mnist_zoo.weights import DIGITS

    if not raw and (known.class_names != DIGITS or known.image_shape != (1, 28, 28)):
        shape = "x".join(str(size) for size in known.image_shape)
        raise InputError(
            f"this network was trained on {known.data or 'images'} of shape {shape}, classes "
            f"{', '.join(known.class_names[:3])}, ...: only 28x28 digits are digitised; give such images, and --raw"
        )


def _predict_batch(
    model: nn.Module, known: Description, batch: list[tuple[int, object]], raw: bool
) -> list[Prediction]:
    import numpy as np
    import torch

    from mnist_zoo.inference import digitise

    read: dict[int, np.ndarray] = {}
    errors: dict[int, str] = {}
    for number, image in batch:
        try:
            opened = digitise.open_image(image)
            read[number] = digitise.raw(opened, known.image_shape) if raw else digitise.digitise(opened)[None]
        except InputError as error:
            errors[number] = str(error)
    if read:
        pixels = torch.from_numpy(np.stack(list(read.values())))
        if any(known.filters.values()):
            from mnist_zoo.data.filters import apply_filters  # here: it brings Lightning along

            pixels = apply_filters(pixels, **known.filters)
        with torch.inference_mode():
            logits = model((pixels.float() / 255 - known.mean) / known.std)
        rows = dict(zip(read, zip(pixels.numpy(), logits.softmax(1).tolist(), strict=True), strict=True))
    predictions = []
    for number, image in batch:
        name = str(image) if isinstance(image, (str, Path)) else f"image {number}"
        if number in errors:
            predictions.append(Prediction(name, error=errors[number]))
            continue
        seen, values = rows[number]
        best = max(range(len(values)), key=values.__getitem__)
        named = dict(zip(known.class_names, values, strict=True))
        predictions.append(Prediction(name, known.class_names[best], values[best], named, seen))
    return predictions


# -- the command ------------------------------------------------------------------------------------------------


def find_images(arguments: Iterable[str]) -> list[str]:
    """Return the files that are meant: files as they are, folders' images at any depth, and what globs match.

    Raises:
        InputError: if a folder has no images, or a glob matches nothing.
    """
    from mnist_zoo.inference.digitise import EXTENSIONS

    files: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
            if not found:
                raise InputError(f"{argument}: no images in this folder ({' '.join(EXTENSIONS)})")
        elif glob.has_magic(argument) and not path.exists():
            found = sorted(file for file in glob.glob(argument, recursive=True) if Path(file).is_file())
            if not found:
                raise InputError(f"{argument}: nothing matches")
        else:
            found = [argument]  # if it cannot be read, it is named in the table
        files += found
    return files


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit status 0 if every image was predicted, 1 if one could not be read, or for a bad request."""
    options = _parser().parse_args(arguments)
    try:
        _check_outputs(options)
        files = find_images(options.images)
        from mnist_zoo.plugins import import_plugin

        for plugin in options.plugin:
            import_plugin(plugin)
        predictions = list(_predictions(options.source, files, options.raw))
        _write(options, predictions)
    except (ZooError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    unread = [prediction for prediction in predictions if prediction.error]
    for prediction in unread:
        print(f"error: {prediction.image} {prediction.error}", file=sys.stderr)
    sys.exit(1 if unread else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mnist_zoo.predict",
        description="Say what digits images show. They are digitised as MNIST was: found by their colour against the "
        "border's, scaled to 20x20, centred by mass in 28x28.",
    )
    parser.add_argument("source", help="a run folder, a checkpoint, a .safetensors file, or a name: mlp, lenet5, cnn, "
                        "cnn_dropout come trained on MNIST")  # fmt: skip
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders, or globs in quotes")
    parser.add_argument("--raw", action="store_true", help="take the images as they are: of the network's size, and as "
                        "its training images were (MNIST: 28x28, light on black)")  # fmt: skip
    parser.add_argument("--csv", metavar="FILE", help="write the predictions with all probabilities; - is the terminal")
    parser.add_argument("--json", metavar="FILE", help="the same as JSON")
    parser.add_argument("--show", metavar="PNG", help="write a picture of what the network saw")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="import this first: it "
                        "registers the network")  # fmt: skip
    return parser


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise InputError now for a file that could not be written after all the work."""
    if options.csv == options.json == "-":
        raise InputError("--csv - and --json - both want the terminal: write one of them to a file")
    for name in (options.csv, options.json, options.show):
        if name not in (None, "-") and not Path(name).parent.is_dir():
            raise InputError(f"cannot write {name}: there is no folder {Path(name).parent}")
    if options.show and Path(options.show).suffix.lower() != ".png":
        raise InputError(f"--show {options.show}: the picture is a PNG, name it so")


def _write(options: argparse.Namespace, predictions: list[Prediction]) -> None:
    from mnist_zoo.runs import write_atomically

    texts = [(options.csv, to_csv), (options.json, to_json)]
    if "-" not in (options.csv, options.json):
        print(table(predictions))
    for name, form in texts:
        if name == "-":
            print(form(predictions), end="")
        elif name is not None:
            write_atomically(Path(name), form(predictions))
            print(f"wrote {name}", file=sys.stderr)
    if options.show:
        content = io.BytesIO()
        contact_sheet(predictions).save(content, "PNG")
        write_atomically(Path(options.show), content.getvalue())
        print(f"wrote {options.show}", file=sys.stderr)


def table(predictions: Sequence[Prediction]) -> str:
    """Return one line an image: its three most probable classes with their probabilities."""
    width = max([5, *(len(prediction.image) for prediction in predictions)])
    lines = [f"{'image':{width}}  prediction        second            third"]
    for prediction in predictions:
        cells = [f"{label} {probability:.4f}" for label, probability in prediction.top()]
        text = "could not be read" if prediction.error else "".join(f"{cell:18}" for cell in cells).rstrip()
        lines.append(f"{prediction.image:{width}}  {text}")
    return "\n".join(lines)


def to_csv(predictions: Sequence[Prediction]) -> str:
    """Return a line an image: image, label, probability, error, and the probability of every class."""
    classes = next((list(p.probabilities) for p in predictions if p.probabilities), [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "probability", "error", *(f"p_{name}" for name in classes)])
    for p in predictions:
        writer.writerow([p.image, p.label, p.probability, p.error, *(p.probabilities or {}).values()])
    return text.getvalue()


def to_json(predictions: Sequence[Prediction]) -> str:
    """Return a JSON list with an object an image: image, label, probability, probabilities, error."""
    names = ("image", "label", "probability", "probabilities", "error")
    return json.dumps([{name: getattr(p, name) for name in names} for p in predictions], indent=2) + "\n"


def contact_sheet(predictions: Sequence[Prediction]) -> Image:
    """Return a picture of what the network saw of each image (the first 1,000), with its label under it."""
    import numpy as np
    from PIL import Image, ImageDraw

    seen = [prediction for prediction in predictions[:SHOWN] if prediction.pixels is not None]
    columns = max(1, min(10, len(seen)))
    tile, gap, caption = 84, 8, 16
    rows = max(1, -(-len(seen) // columns))
    sheet = Image.new("RGB", (gap + columns * (tile + gap), gap + rows * (tile + caption + gap)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, prediction in enumerate(seen):
        left, top = gap + index % columns * (tile + gap), gap + index // columns * (tile + caption + gap)
        pixels = prediction.pixels
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        sheet.paste(picture.resize((tile, tile), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + tile + 2), f"{prediction.label}  {prediction.probability:.3f}"[:14], fill="black")
    return sheet


if __name__ == "__main__":
    main()
