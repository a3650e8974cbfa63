"""Robustness as a metric: the runs of each side are attacked, and the images that stay correct are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnist_zoo.robustness.command import choose_device, measure_and_keep
from mnist_zoo.robustness.registry import chosen_tests
from mnist_zoo.robustness.sources import ImageCache
from mnist_zoo.robustness.subject import read_subject
from mnist_zoo.runs import read_arrays, read_evaluation

ATTACKS = ("fgsm", "pgd")  # metrics, and tests of `mnist_zoo.robustness`
IMAGES = 1000  # the first ones of the validation split are attacked


class Attacks:
    """Attacks finished runs, each once: what their folders hold already (``evaluation.json``) is read.

    Args:
        attack: of `ATTACKS`.
        epsilon: largest change of a pixel, from 0 to 1.
        data_root: folder of the data files.

    Raises:
        InputError: if `epsilon` is out of range.
    """

    def __init__(self, attack: str, epsilon: float, data_root: str | Path):
        options = {attack: {"epsilons": [epsilon]}}
        ((self._test, self._settings),) = chosen_tests([attack], options, {"split": "val", "images": IMAGES})
        self._images, self._device = ImageCache(Path(data_root)), choose_device("auto")
        self._known: dict[Path, tuple[np.ndarray, str]] = {}

    def __call__(self, folder: Path) -> tuple[np.ndarray, str]:
        """Return which images of a run stay correct under attack, bool ``(N,)``, and a text that identifies the images.

        Raises:
            InputError: if the run cannot be attacked.
            DamagedFile: if a file of the run is damaged.
        """
        if folder not in self._known:
            subject, weights = read_subject(folder, self._device)
            images = self._images.of(str(folder), folder, weights)
            known = read_evaluation(folder)
            key, _ = measure_and_keep(subject, images, self._test, self._settings, folder, known)
            self._known[folder] = read_arrays(folder, key, ["correct"])["correct"][0], images.fingerprint
        return self._known[folder]
