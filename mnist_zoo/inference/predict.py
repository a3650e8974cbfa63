"""Predicting the classes of images with a trained network."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import nn

from mnist_zoo.errors import InputError
from mnist_zoo.inference.digitise import find_digits
from mnist_zoo.inference.images import as_network_input, open_image
from mnist_zoo.inference.logits import compute_logits
from mnist_zoo.inference.rejection import NOT_A_DIGIT, find_threshold, score
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import Description, Weights, read_weights

Pixels = np.ndarray[Any, Any]
ImageLike = str | Path | Image | Pixels
BATCH_SIZE = 256  # images in memory at once
BATCH_VALUES = 2**20  # values in these images; larger images are taken fewer at once


@dataclass(frozen=True)
class Prediction:
    """A network's prediction for one image, or for one of several digits on it.

    Attributes:
        image: the file, or ``image 0``, ``image 1``, ... for images that are not files.
        label: the class with the highest probability, or None if the image could not be read.
        probability: probability of that class, 0-1.
        probabilities: probability of every class, by name, in label order. They sum to 1.
        pixels: the network's input before it is normalised, uint8 ``(C, H, W)``, or None.
        error: why the image could not be read, or None.
        warning: why the label may mean nothing, or None: the picture holds several things, or something else than a
            digit.
        box: place of the digit in the picture, ``(left, top, right, bottom)`` as shares of its sides; None if the
            image was not digitised.
    """

    image: str
    label: str | None = None
    probability: float = 0.0
    probabilities: dict[str, float] | None = None
    pixels: Pixels | None = None
    error: str | None = None
    warning: str | None = None
    box: tuple[float, float, float, float] | None = None

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the `count` most probable classes with their probabilities, highest first."""
        return sorted((self.probabilities or {}).items(), key=lambda item: -item[1])[:count]


@dataclass(frozen=True)
class Seen:
    """What a network sees of an image: pixels, uint8 ``(C, H, W)``; their place in it, and a warning, or None."""

    pixels: Pixels
    box: tuple[float, float, float, float] | None = None
    warning: str | None = None


def predict_images(
    source: str | Path, images: Iterable[ImageLike], *, raw: bool = False, many: bool = False
) -> list[Prediction]:
    """Predict the class of each image.

    A prediction has a warning if the picture shows several things of similar size, or ink at its edge only, or if the
    network finds the image unlike the digits that it was trained on ("not a digit?": 2 % of the validation images have
    such logits, see `mnist_zoo.inference.rejection`; for shipped weights and finished runs).

    Args:
        source: a run folder, a checkpoint, a safetensors file, or a name with shipped weights (``cnn_dropout``;
            ``auto`` means those for photographs).
        images: PNG, JPEG, WebP or BMP files, Pillow images, or uint8 arrays ``(H, W)`` or ``(H, W, 3)``. Any size,
            grey or colour, dark on light or light on dark: they are converted to the format of MNIST, see
            `mnist_zoo.inference.digitise.digitise`.
        raw: skip this conversion. The images must have the size and the colours of the network's training images
            (MNIST: 28x28, light on black).
        many: find several digits in each image, and predict each, from left to right.

    Returns:
        One prediction for each image, in order; with `many` one for each digit, with the name of its image. If an image
        cannot be read, its prediction has an ``error`` and no label.

    Raises:
        InputError: if there is no such network, it was not trained on 28x28 digits and `raw` is not set, `raw` and
            `many` are both set, or its output is not finite.

    Example:
        >>> import numpy as np
        >>> from mnist_zoo import predict_images
        >>> paper = np.full((90, 60), 255, np.uint8)
        >>> paper[20:70, 28:33] = 40  # a stroke of ink
        >>> [one] = predict_images("cnn_dropout", [paper])
        >>> one.label
        '1'
    """
    if raw and many:
        raise InputError("digits are only found in images that are digitised: use --many without --raw")
    weights = read_weights(source)
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were normalised (no MNISTDataModule)")
    if not raw:
        check_digits(known)
    model, least = build_trained(weights), None if raw else find_threshold(weights)
    predictions: list[Prediction] = []
    size = max(1, min(BATCH_SIZE, BATCH_VALUES // math.prod(known.image_shape)))
    waiting, first = iter(images), 0
    while batch := list(itertools.islice(waiting, size)):
        seen = [(_name(image, number), _prepare(image, known, raw, many)) for number, image in enumerate(batch, first)]
        predictions += _predict_batch(model, weights, seen, least)
        first += len(batch)
    return predictions


def _name(image: ImageLike, number: int) -> str:
    return str(image) if isinstance(image, (str, Path)) else f"image {number}"


def check_digits(known: Description) -> None:
    """Raise InputError if the network was not trained on 28x28 digits, the only images that are digitised."""
    if known.class_names != tuple(string.digits) or known.image_shape != (1, 28, 28):
        shape = "x".join(str(size) for size in known.image_shape)
        raise InputError(
            f"this network was trained on {known.data or 'images'} of shape {shape}, classes "
            f"{', '.join(known.class_names[:3])}, ...: only 28x28 digits can be digitised; give images of that shape "
            f"and use --raw (in Python: raw=True)"
        )


def _predict_batch(
    model: nn.Module, weights: Weights, images: Sequence[tuple[str, list[Seen] | str]], least: float | None
) -> Iterator[Prediction]:
    """Yield the predictions of a batch of images, given as names with what is seen or why nothing is."""
    names = weights.description.class_names
    read = [one.pixels for _, seen in images if not isinstance(seen, str) for one in seen]
    classified = iter(_classify(model, weights, np.stack(read)) if read else ())
    for name, seen in images:
        if isinstance(seen, str):
            yield Prediction(name, error=seen)
            continue
        for one in seen:
            pixels, values, reached = next(classified)
            best = max(range(len(values)), key=values.__getitem__)
            doubt = NOT_A_DIGIT if least is not None and reached < least else None
            warning = "; ".join(filter(None, (doubt, one.warning))) or None
            probabilities = dict(zip(names, values, strict=True))
            yield Prediction(name, names[best], values[best], probabilities, pixels, None, warning, one.box)


def _prepare(image: ImageLike, known: Description, raw: bool, many: bool) -> list[Seen] | str:
    """Return what the network sees of an image, or why it could not be read."""
    try:
        opened = open_image(image)
        if raw:
            return [Seen(as_network_input(opened, known.image_shape))]
        return [Seen(digit.pixels[None], digit.box, digit.warning) for digit in find_digits(opened, many)]
    except InputError as error:
        return str(error)


def _classify(model: nn.Module, weights: Weights, images: Pixels) -> Iterator[tuple[Pixels, list[float], float]]:
    """Yield for each of the uint8 images ``(N, C, H, W)`` its filtered pixels, the probabilities of its classes and
    its score (`mnist_zoo.inference.rejection`)."""
    known, pixels = weights.description, torch.from_numpy(images)
    if any(known.filters.values()):
        from mnist_zoo.data.filters import apply_filters  # here, because mnist_zoo.data imports Lightning (seconds)

        pixels = apply_filters(pixels, **known.filters)
    assert known.mean is not None and known.std is not None  # predict_images checked it
    logits = compute_logits(model, weights, (pixels.float() / 255 - known.mean) / known.std)
    return zip(pixels.numpy(), logits.softmax(1).tolist(), score(logits).tolist(), strict=True)
