"""Feature masking: accuracy when a random share of the input is zeroed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test, require_list
from mnist_zoo.robustness.subject import Subject


@dataclass(frozen=True)
class MaskingSettings(Settings):
    """Settings of `masking`.

    Attributes:
        shares: probabilities with which each value of an image is zeroed, ascending, from 0 to 1.
    """

    shares: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_list("shares", self.shares, 0, 1)


def _summary(values: Mapping[str, Any]) -> str:
    pairs = zip(values["shares"], values["accuracy"], strict=True)
    return "accuracy " + ", ".join(f"{accuracy:.4f} at {share:.0%}" for share, accuracy in pairs)


@register_test("masking", _summary, MaskingSettings)
def masking(subject: Subject, images: Images, settings: MaskingSettings, progress: Progress) -> Outcome:
    """Zero each value of an image with a given probability (feature masking: Ingle and Pawale 2024).

    Returns:
        Values ``shares`` and ``accuracy``, one for each; array ``correct``, bool ``(S, N)``.
    """
    pixels, labels = images.split(settings.split, settings.images)
    correct = torch.zeros(len(settings.shares), len(labels), dtype=torch.bool)
    generator = torch.Generator().manual_seed(settings.seed)
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        drawn = torch.rand(batch.shape, generator=generator).to(batch.device)  # a larger share masks more, never others
        for row, share in enumerate(settings.shares):
            found = subject.logits(batch.masked_fill(drawn < share, 0.0)).argmax(1)
            correct[row, part] = (found == targets).cpu()
        progress(part.stop / len(labels))
    values = {"shares": list(settings.shares), "accuracy": correct.double().mean(1).tolist()}
    return Outcome(values, {"correct": correct.numpy()})
