"""Plots of a data set: class counts, samples, augmented samples, mean images and t-SNE."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.embedding import FEWEST, embed, require_possible
from mnist_zoo.plots.images import image_grid
from mnist_zoo.plots.style import COLOURS, plain, style

if TYPE_CHECKING:
    from mnist_zoo.data import Batches, MNISTDataModule

SAMPLES = 8  # images per row
TSNE_IMAGES = 1000


def class_counts(data: MNISTDataModule) -> Figure:
    """Draw the number of images per class in the training, validation and test splits."""
    figure = Figure(figsize=(8.5, 3.8))
    axis = figure.subplots()
    places = np.arange(data.num_classes)
    for index, (split, counts) in enumerate(data.class_counts.items()):
        axis.bar(places + 0.27 * (index - 1), counts, 0.25, color=COLOURS[index], label=f"{split}: {sum(counts):,}")
    long = max(map(len, data.class_names)) > 3
    axis.set_xticks(
        places, [plain(name) for name in data.class_names], rotation=30 if long else 0, ha="right" if long else "center"
    )
    axis.set_ylabel("images")
    axis.grid(axis="x", visible=False)
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def samples(data: MNISTDataModule, per_class: int = SAMPLES) -> Figure:
    """Draw the first training images of each class, one row per class; a class with fewer images repeats them."""
    labels, chosen = data.labels("train").numpy(), []
    for c in range(data.num_classes):
        own = np.flatnonzero(labels == c)
        chosen += np.resize(own, per_class).tolist() if len(own) else []
    captions = [data.class_names[labels[i]] for i in chosen]
    return image_grid(data.images("train").numpy()[chosen], captions, columns=per_class)


def augmented(batches: Batches, class_names: Sequence[str], columns: int = SAMPLES) -> Figure:
    """Draw original images in the first column and one augmented version per epoch in the other columns.

    Args:
        batches: their first batch is drawn. Not shuffled; with an augmentation, and without normalisation.
        class_names: name of each label.
        columns: the original and ``columns - 1`` epochs.
    """
    first_batches = [next(iter(batches)) for _ in range(columns - 1)]
    epochs = [images.numpy() for images, _ in first_batches]  # each pass over the batches is the next epoch
    count = len(epochs[0])
    images, labels = batches.images[:count].numpy(), batches.labels[:count].tolist()
    shown = np.stack([images / 255, *epochs], axis=1).reshape(-1, *images.shape[1:])
    captions = [class_names[y] if column == 0 else "" for y in labels for column in range(columns)]
    return image_grid(shown, captions, columns=columns)


def mean_images(data: MNISTDataModule) -> Figure:
    """Draw the mean training image of each class."""
    images, labels = data.images("train").numpy(), data.labels("train").numpy()
    present = [c for c in range(data.num_classes) if (labels == c).any()]
    means = np.stack([images[labels == c].mean(axis=0) / 255 for c in present])
    return image_grid(means, [data.class_names[c] for c in present])


def tsne(data: MNISTDataModule, count: int, seed: int = 0) -> Figure:
    """Draw the t-SNE of `count` training images (see `embed`), coloured by class.

    Raises:
        InputError: as `embed` does.
    """
    chosen, positions = embed(data.images("train").numpy(), count, seed)
    return embedding(positions, data.labels("train").numpy()[chosen], data.class_names)


def embedding(positions: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw positions ``(N, 2)`` coloured by class; the name of each class is at the median of its positions."""
    figure = Figure(figsize=(7, 6.5))
    axis = figure.subplots()
    colours = colormaps["turbo"](np.linspace(0.05, 0.95, len(class_names)))
    size = float(np.clip(12_000 / len(labels), 1, 14))
    axis.scatter(positions[:, 0], positions[:, 1], s=size, c=colours[labels], linewidths=0, alpha=0.8)
    for c, name in enumerate(class_names):
        if (labels == c).any():
            x, y = np.median(positions[labels == c], axis=0)
            box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colours[c], "alpha": 0.85}
            axis.text(x, y, plain(name), ha="center", va="center", fontweight="bold", bbox=box)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"t-SNE of {len(labels):,} training images")
    return figure


def write_plots(data: MNISTDataModule, first: Batches, out: Path, tsne_images: int | None = None) -> Iterator[Path]:
    """Write every plot of a data set as PNG and yield each path when its file is complete.

    Args:
        data: the data set.
        first: images to draw with their augmentation (see `augmented`).
        out: folder to write to; it is created if needed.
        tsne_images: number of images in the t-SNE; 0 to leave it out. By default `TSNE_IMAGES`, or all if there are
            fewer, or none if they are too few for a t-SNE.

    Raises:
        InputError: if `out` cannot be created, or as `embed` does.
        StorageError: if a plot cannot be written.
    """
    if tsne_images is None:
        tsne_images = min(TSNE_IMAGES, len(data.labels("train")))
        tsne_images = 0 if tsne_images < FEWEST else tsne_images
    if tsne_images:
        require_possible(tsne_images, len(data.labels("train")))  # before plots are drawn
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}): choose another folder with --out DIR") from error
    draw: dict[str, Callable[[], Figure]] = {
        "class_counts": partial(class_counts, data),
        "samples": partial(samples, data),
        "augmented": partial(augmented, first, data.class_names),
        "mean_images": partial(mean_images, data),
    }
    if tsne_images:
        draw["tsne"] = partial(tsne, data, tsne_images)
    for name, figure in draw.items():
        path = out / f"{name}.png"
        picture = io.BytesIO()
        with style():
            figure().savefig(picture, format="png", bbox_inches="tight", pad_inches=0.08)
        write_atomically(path, picture.getvalue())
        yield path
