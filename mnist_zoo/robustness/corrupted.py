"""The accuracy on corrupted images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.robustness.corruptions import CORRUPTIONS, corrupt
from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test
from mnist_zoo.robustness.subject import Subject

PICTURES = 8  # images of each corruption that are kept to be looked at


@dataclass(frozen=True)
class CorruptionSettings(Settings):
    """What the test on corruptions can be told.

    Attributes:
        names: which corruptions, by default all fifteen.

    Raises:
        InputError: for an unknown name, or none.
    """

    names: tuple[str, ...] = tuple(CORRUPTIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.names, tuple) or not self.names:
            raise InputError(f"names={self.names}: it must be a list of corruptions, such as [fog,shear]")
        for name in self.names:
            if name not in (*CORRUPTIONS,):  # which also compares what cannot be a key
                raise unknown("corruption", name, CORRUPTIONS)
        if len(set(self.names)) < len(self.names):
            raise InputError(f"names={list(self.names)}: a corruption is named twice")


def _summary(values: Mapping[str, Any]) -> str:
    worst = min(zip(values["accuracy"], values["names"], strict=True))
    return f"mean accuracy {values['mean']:.4f} (clean {values['clean']:.4f}), worst {worst[1]} {worst[0]:.4f}"


@register_test("corruptions", _summary, CorruptionSettings)
def measure_corruptions(subject: Subject, images: Images, settings: CorruptionSettings, progress: Progress) -> Outcome:
    """Measure the accuracy on the corruptions of MNIST-C, see `mnist_zoo.robustness.corruptions`.

    Returns:
        Values ``names``, ``accuracy`` (of each), ``mean`` (of them) and ``clean`` (without corruption). Arrays
        ``correct``, bool ``(corruptions, N)``, and ``pictures``, uint8 ``(corruptions, 8, C, H, W)``: the first images.
    """
    pixels, labels = images.split(settings.split, settings.images)
    correct = torch.zeros(len(settings.names), len(labels), dtype=torch.bool)
    unchanged = torch.zeros(len(labels), dtype=torch.bool)
    pictures = torch.zeros(len(settings.names), *pixels[:PICTURES].shape, dtype=torch.uint8)
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        unchanged[part] = (subject.logits(batch).argmax(1) == targets).cpu()
        for number, name in enumerate(settings.names):
            corrupted = corrupt(batch, name, seed=settings.seed, first=part.start)
            correct[number, part] = (subject.logits(corrupted).argmax(1) == targets).cpu()
            if part.start < PICTURES:
                shown = corrupted[: PICTURES - part.start]
                pictures[number, part.start : part.start + len(shown)] = (255 * shown).round().byte().cpu()
        progress(part.stop / len(labels))
    accuracy = correct.double().mean(dim=1)
    values = {
        "names": list(settings.names),
        "accuracy": accuracy.tolist(),
        "mean": accuracy.mean().item(),
        "clean": unchanged.double().mean().item(),
    }
    return Outcome(values, {"correct": correct.numpy(), "pictures": np.ascontiguousarray(pictures.numpy())})
