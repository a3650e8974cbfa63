"""``python -m mnist_zoo.explore data=...``: what the images look like, before anything is trained on them."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_zoo.errors import InputError, ZooError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mnist_zoo.data import MNISTDataModule

AT_ONCE = 5000  # images that scikit-learn's t-SNE does in a minute; openTSNE does more
COMPONENTS = 50  # principal components that t-SNE starts from: what the others hold is noise
SAMPLES = 8  # images a class


def class_counts(data: MNISTDataModule) -> Figure:
    """Draw how many images each class has in the training, validation and test part."""
    from matplotlib.figure import Figure

    from mnist_zoo.plots.style import COLOURS

    figure = Figure(figsize=(8.5, 3.8))
    axis = figure.subplots()
    places = np.arange(data.num_classes)
    for index, (split, counts) in enumerate(data.class_counts.items()):
        axis.bar(places + 0.27 * (index - 1), counts, 0.25, color=COLOURS[index], label=f"{split}: {sum(counts):,}")
    long = max(map(len, data.class_names)) > 3
    axis.set_xticks(places, data.class_names, rotation=30 if long else 0, ha="right" if long else "center")
    axis.set_ylabel("images")
    axis.grid(axis="x", visible=False)
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def samples(data: MNISTDataModule, each: int = SAMPLES) -> Figure:
    """Draw the first training images of each class, a row a class."""
    from mnist_zoo.plots.images import image_grid

    labels, chosen = data.labels("train").numpy(), []
    for c in range(data.num_classes):
        own = np.flatnonzero(labels == c)
        chosen += np.resize(own, each).tolist() if len(own) else []
    captions = [data.class_names[labels[i]] for i in chosen]
    return image_grid(data.images("train").numpy()[chosen], captions, columns=each)


def augmented(data: MNISTDataModule, count: int = SAMPLES) -> Figure:
    """Draw training images as they are (first column) and as the data module's augmentation shows them in epochs."""
    from mnist_zoo.data import Batches
    from mnist_zoo.plots.images import image_grid

    images, labels = data.images("train")[:count], data.labels("train")[:count]
    batches = Batches(images, labels, len(images), seed=data.seed, augment=data.augment)
    epochs = [next(iter(batches))[0].numpy() for _ in range(SAMPLES - 1)]
    shown = np.stack([images.numpy() / 255, *epochs], axis=1).reshape(-1, *images.shape[1:])
    captions = [data.class_names[y] if column == 0 else "" for y in labels for column in range(SAMPLES)]
    return image_grid(shown, captions, columns=SAMPLES)


def mean_images(data: MNISTDataModule) -> Figure:
    """Draw the mean training image of each class."""
    from mnist_zoo.plots.images import image_grid

    images, labels = data.images("train").numpy(), data.labels("train").numpy()
    present = [c for c in range(data.num_classes) if (labels == c).any()]
    means = np.stack([images[labels == c].mean(axis=0) for c in present])
    return image_grid(means, [data.class_names[c] for c in present])


def embed(data: MNISTDataModule, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Place training images in the plane by t-SNE (van der Maaten & Hinton 2008) of their raw pixels.

    Args:
        data: where the images come from.
        count: how many of the training images to take, drawn by `seed`.
        seed: of the draw and of t-SNE.

    Returns:
        Positions ``(count, 2)`` and labels ``(count,)``.

    Raises:
        InputError: if there are not that many images, or openTSNE is needed and missing.
    """
    images = data.images("train")
    if not 10 <= count <= len(images):
        raise InputError(f"--tsne {count}: choose from 10 to {len(images)} images, or 0 for none")
    if count > AT_ONCE and importlib.util.find_spec("openTSNE") is None:
        raise InputError(f"t-SNE of more than {AT_ONCE} images needs openTSNE: pip install 'mnist_zoo[tsne]'")
    from sklearn.decomposition import PCA

    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    pixels = images.numpy()[chosen].reshape(count, -1).astype(np.float32) / 255
    components = PCA(min(COMPONENTS, *pixels.shape), random_state=seed).fit_transform(pixels)
    perplexity = min(30, (count - 1) // 3)
    started = time.perf_counter()
    print(f"t-SNE of {count:,} images ...", flush=True)
    if count > AT_ONCE:
        from openTSNE import TSNE

        def show(iteration: int, error: float, embedding: np.ndarray) -> None:
            print(f"  {iteration} iterations, {time.perf_counter() - started:.0f} s, KL {error:.3f}", flush=True)

        model = TSNE(perplexity=perplexity, random_state=seed, n_jobs=-1, callbacks=show, callbacks_every_iters=50)
        positions = np.asarray(model.fit(components))
    else:
        from sklearn.manifold import TSNE

        positions = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    print(f"  done in {time.perf_counter() - started:.1f} s", flush=True)
    return positions, data.labels("train").numpy()[chosen]


def embedding(positions: np.ndarray, labels: np.ndarray, class_names: list[str] | tuple[str, ...]) -> Figure:
    """Draw positions ``(N, 2)`` coloured by class, with each class's name at its median."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6.5))
    axis = figure.subplots()
    colours = colormaps["turbo"](np.linspace(0.05, 0.95, len(class_names)))
    size = float(np.clip(12_000 / len(labels), 1, 14))
    axis.scatter(*positions.T, s=size, c=colours[labels], linewidths=0, alpha=0.8)
    for c, name in enumerate(class_names):
        if (labels == c).any():
            x, y = np.median(positions[labels == c], axis=0)
            box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colours[c], "alpha": 0.85}
            axis.text(x, y, name, ha="center", va="center", fontweight="bold", bbox=box)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"t-SNE of {len(labels):,} training images")
    return figure


def load(overrides: list[str]) -> tuple[MNISTDataModule, Path]:
    """Return the data module that the overrides of a training would make, and its output folder."""
    from mnist_zoo.hydra_app.compose import compose_config

    if not any(override.startswith("augment") for override in overrides):
        overrides = [*overrides, "augment=affine"]
    cfg = compose_config(overrides)
    from mnist_zoo.data import MNISTDataModule
    from mnist_zoo.plugins import import_plugin

    for plugin in cfg["plugins"]:
        import_plugin(plugin)
    data = MNISTDataModule(cfg["data"].pop("name"), seed=cfg["seed"], augment=cfg["augment"], **cfg["data"])
    data.setup()
    return data, Path(cfg["output_dir"])


def explore(data: MNISTDataModule, out: Path, count: int = 1000) -> list[Path]:
    """Write every figure over a data set to a folder, t-SNE of `count` images last (0: without it)."""
    from mnist_zoo.plots.style import style

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}): choose another folder with --out DIR") from error
    draw = {"class_counts": class_counts, "samples": samples, "augmented": augmented, "mean_images": mean_images}
    if count:
        draw["tsne"] = lambda data: embedding(*embed(data, count), data.class_names)
    paths = []
    for name, figure_of in draw.items():
        with style():
            figure = figure_of(data)
            paths.append(out / f"{name}.png")
            figure.savefig(paths[-1], bbox_inches="tight", pad_inches=0.08)
        print(f"{paths[-1]}", flush=True)
    return paths


def main() -> None:
    """Entry point of ``python -m mnist_zoo.explore`` and ``mnist-zoo-explore``."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_zoo.explore",
        description="Draw a data set: class counts, samples, augmented samples, mean images, t-SNE.",
    )
    parser.add_argument("overrides", nargs="*", help="as in training: data=fashion_mnist augment=thesis data.root=DIR")
    parser.add_argument(
        "--tsne", type=int, default=1000, metavar="N", help="images to embed, 0 for none (default 1000)"
    )
    parser.add_argument("--out", type=Path, help="where to write (default: explore/<data> in output_dir)")
    arguments = parser.parse_args()
    try:
        data, output_dir = load(arguments.overrides)
        print(f"{data.name}: " + ", ".join(f"{sum(n):,} {split}" for split, n in data.class_counts.items()))
        explore(data, arguments.out or output_dir / "explore" / data.name, arguments.tsne)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
