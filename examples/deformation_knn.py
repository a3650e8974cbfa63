"""Nearest neighbours under the image distortion model (Keysers et al. 2007), which needs no training.

    python examples/deformation_knn.py                                  3,667 references and 1,000 tests of mnist5k
    python examples/deformation_knn.py --data mnist                     99.02 %, beside 97.13 % by Euclidean distance
    python examples/deformation_knn.py --data mnist --candidates 500    as many as in the paper; not measured

The script prints the test accuracy beside that of plain Euclidean neighbours. Nothing is chosen on data: k, the warp
range and the gradients are the paper's, which reports an error of 0.54 % (99.46 % accuracy) on MNIST. Its references
are all 60,000 training images, ours the 55,000 of the training split, and it compares 500 candidates.
"""

from __future__ import annotations

import argparse
import time

import torch

from mnist_zoo import MNISTDataModule
from mnist_zoo.deformation import classify, euclidean, nearest
from mnist_zoo.runs.interval import interval_text


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify digits by nearest neighbours that may be deformed.")
    parser.add_argument("--data", default="mnist5k", help="data set (default: mnist5k)")
    parser.add_argument("--data-root", default="data", help="folder of its files (default: data)")
    parser.add_argument("--neighbours", type=int, default=3, help="k (default: 3)")
    parser.add_argument("--candidates", type=int, default=100, help="Euclidean neighbours to compare (default: 100)")
    parser.add_argument("--warp", type=int, default=2, help="pixels that a pixel may move (default: 2)")
    parser.add_argument("--images", type=int, help="number of test images, evenly spread (default: all)")
    args = parser.parse_args()

    data = MNISTDataModule(args.data, root=args.data_root)
    references, labels = data.images("train"), data.labels("train")
    total = len(data.labels("test"))
    chosen = torch.linspace(0, total - 1, total if args.images is None else args.images).round().long()
    tests, true = data.images("test")[chosen], data.labels("test")[chosen]
    print(f"{data.name}: {len(references):,} references, {len(tests):,} test images, k={args.neighbours}")
    searches = {
        "Euclidean distance": lambda: euclidean(tests, references, args.neighbours),
        "image distortion model": lambda: nearest(tests, references, args.neighbours, args.candidates, args.warp)[0],
    }
    for name, search in searches.items():
        start = time.perf_counter()
        found = search()
        correct = (classify(labels[found], data.num_classes) == true).float().mean().item()
        seconds = time.perf_counter() - start
        print(f"  {name:24} accuracy {correct:.4f} ({interval_text(correct, len(tests))}), {seconds:.0f} s")


if __name__ == "__main__":
    main()
