"""The fifteen corruptions of MNIST-C, one after another."""

from __future__ import annotations

import time

from benchmarks.turn import Turn
from mnist_zoo import MNISTDataModule
from mnist_zoo.robustness.corruptions import CORRUPTIONS, corrupt


def main(turn: Turn, count: int, root: str) -> None:
    """Corrupt `count` test images with each corruption, each turn.

    Reports the images per second of processor time under the name of each corruption.

    Args:
        turn: the parent's word.
        count: images.
        root: folder of the data.
    """
    images = MNISTDataModule("mnist", root=root).images("test")[:count].float() / 255
    while True:
        turn.wait()
        speeds = {}
        for name in CORRUPTIONS:
            start = time.process_time()
            corrupt(images, name)
            speeds[name] = len(images) / (time.process_time() - start)
        turn.report(len(images) * len(CORRUPTIONS), None, **speeds)
