"""A picture that explains predictions: each image with the attribution maps of its predicted class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mnist_zoo.attribution import attribute
from mnist_zoo.errors import InputError, printable
from mnist_zoo.inference.predict import Prediction
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import read_weights

EXPLAINED = 20  # images on one picture


def explain(source: str | Path, predictions: Sequence[Prediction]) -> bytes:
    """Return a PNG of the first 20 readable images with their attribution maps (`mnist_zoo.attribution.attribute`).

    Args:
        source: the network that predicted them, as for `predict_images`.
        predictions: of `predict_images`.

    Raises:
        InputError: if captum is not installed, no image could be read, or as `predict_images`.
    """
    seen = [prediction for prediction in predictions if prediction.pixels is not None][:EXPLAINED]
    if not seen:
        raise InputError("no image could be read: there is nothing to explain")
    weights = read_weights(source)
    known = weights.description
    assert known.mean is not None and known.std is not None  # predict_images checked it
    pixels = np.stack([prediction.pixels for prediction in seen])  # type: ignore[misc]  # None was left out
    images = (torch.from_numpy(pixels).float() / 255 - known.mean) / known.std
    classes = torch.tensor([known.class_names.index(str(prediction.label)) for prediction in seen])
    maps = attribute(build_trained(weights), images, classes, -known.mean / known.std)
    captions = [_caption(prediction) for prediction in seen]
    return _png(pixels, maps, captions)


def _caption(prediction: Prediction) -> str:
    """Return the file's name, the label and its probability."""
    name, doubt = printable(Path(prediction.image).name)[-20:], "?" if prediction.warning else ""
    return f"{name}\n{printable(prediction.label)}{doubt}  {prediction.probability:.3f}"


def _png(pixels: np.ndarray, maps: dict[str, np.ndarray], captions: list[str]) -> bytes:
    from mnist_zoo.plots.attribution import attribution_panel  # here: Matplotlib takes long to import
    from mnist_zoo.plots.style import FIGURE_DPI, style

    content = io.BytesIO()
    with style():
        attribution_panel(pixels, maps, captions).savefig(content, format="png", dpi=FIGURE_DPI)
    return content.getvalue()
