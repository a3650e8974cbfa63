"""The images as they are: accuracy and loss without any change, which every other test is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test
from mnist_zoo.robustness.subject import Subject


def _summary(values: Mapping[str, Any]) -> str:
    return f"accuracy {values['accuracy']:.4f}, loss {values['loss']:.4f}"


@register_test("clean", _summary)
def clean(subject: Subject, images: Images, settings: Settings, progress: Progress) -> Outcome:
    """Measure accuracy and mean cross-entropy (nats) without any change of the images.

    Returns:
        Values ``accuracy`` and ``loss``; array ``correct``, bool ``(N,)``.
    """
    pixels, labels = images.split(settings.split, settings.images)
    correct, loss = torch.zeros(len(labels), dtype=torch.bool), 0.0
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        logits = subject.logits(batch)
        correct[part] = (logits.argmax(1) == targets).cpu()
        loss += F.cross_entropy(logits, targets, reduction="sum").item()
        progress(part.stop / len(labels))
    values = {"accuracy": correct.double().mean().item(), "loss": loss / len(labels)}
    return Outcome(values, {"correct": correct.numpy()})
