"""``python -m mnist_zoo.explore data=...``: plots of a data set, to look at before training."""

from __future__ import annotations

import shlex
from pathlib import Path

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings, path_of
from mnist_zoo.waiting import loading_torch


def main() -> None:
    """Entry point of ``python -m mnist_zoo.explore`` and ``mnist-zoo-explore``."""
    parser = Parser(
        prog="python -m mnist_zoo.explore",
        description="Draw a data set: class counts, samples, augmented samples, mean images, t-SNE.",
    )
    parser.add_argument("overrides", nargs="*", help="as in training: data=fashion_mnist augment=thesis data.root=DIR")
    parser.add_argument("--tsne", type=int, metavar="N", help="images to embed, 0: none (default: up to 1000)")
    parser.add_argument("--out", metavar="DIR", help="where to write (default: explore/<data> in output_dir)")
    arguments = parser.parse_intermixed_args()
    with one_line_errors(), one_line_warnings():
        explore(arguments.overrides, path_of("--out", arguments.out), arguments.tsne)
        print(f"next: {shlex.join(['python', '-m', 'mnist_zoo', *arguments.overrides])}")


def explore(overrides: list[str], out: Path | None = None, tsne_images: int | None = None) -> None:
    """Write the plots of the data set that the overrides choose (see `write_plots`), and print each path.

    Raises:
        InputError: for invalid overrides, unavailable data, or as `write_plots` does.
    """
    from mnist_zoo.hydra_app.compose import compose_config

    if not any(override.startswith("augment") for override in overrides):
        overrides = [*overrides, "augment=affine"]
    cfg = compose_config(overrides)
    with loading_torch("explore", silent=True):  # after the config: a wrong override is answered without torch
        from mnist_zoo.data import Batches, load_data
        from mnist_zoo.plots.exploration import SAMPLES, write_plots

    data = load_data(cfg)
    images, labels = data.images("train")[:SAMPLES], data.labels("train")[:SAMPLES]
    first = Batches(images, labels, batch_size=SAMPLES, seed=data.seed, augment=data.augment)
    print(f"{data.name}: " + ", ".join(f"{sum(counts):,} {split}" for split, counts in data.class_counts.items()))
    for path in write_plots(data, first, out or Path(cfg["output_dir"], "explore", f"{data.name}"), tsne_images):
        print(path, flush=True)


if __name__ == "__main__":
    main()
