"""The images on which networks are measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.subject import Subject

BATCH_VALUES = 500 * 28 * 28  # values of a batch: 500 images of 28x28, fewer of larger ones
SMALLEST_BATCH = 32  # images


@dataclass(frozen=True)
class Images:
    """Labelled images of a test split and, if there is one, a validation split.

    Attributes:
        test: uint8 ``(N, C, H, W)``, filtered like the training images (`mnist_zoo.data.filters`), on the CPU.
        test_labels: int64 ``(N,)``.
        val, val_labels: the same of the validation split; None if there is none.
        name: of the data set.
        fingerprint: of the data set and its split; empty if unknown.
        class_names: name of each label, in order.
        root: folder in which further data sets may lie.
        filters: which the images have passed, as arguments of `mnist_zoo.data.filters.apply_filters`.
    """

    test: Tensor
    test_labels: Tensor
    val: Tensor | None = None
    val_labels: Tensor | None = None
    name: str = "images"
    fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    root: Path = Path("data")
    filters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> Images:
        """Return the images of an `MNISTDataModule`, or of a pair ``(images, labels)``.

        Raises:
            InputError: if it is neither, or the pair is not uint8 ``(N, C, H, W)`` and integers ``(N,)`` from 0.
        """
        if isinstance(data, Images):
            return data
        if isinstance(data, MNISTDataModule):
            test, val = ((data.images(split), data.labels(split)) for split in ("test", "val"))
            return cls(*test, *val, data.name, data.fingerprint, data.class_names, data.root, data.filters)
        try:
            pixels, labels = (torch.as_tensor(part) for part in data)
        except (TypeError, ValueError) as error:
            raise InputError("data must be an MNISTDataModule, or a pair (images, labels)") from error
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or len(pixels) == 0:
            raise InputError(f"images must be uint8 (N, C, H, W), not {pixels.dtype} {tuple(pixels.shape)}")
        if labels.shape != pixels.shape[:1] or labels.is_floating_point() or labels.min() < 0:
            raise InputError(
                f"labels must be integers ({len(pixels)},) from 0, not {labels.dtype} {tuple(labels.shape)} from "
                f"{labels.min() if len(labels) else 'none'}"
            )
        return cls(pixels, labels.long())

    def split(self, name: str, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Return images (uint8) and labels of ``test`` or ``val``: the first `count`, or all.

        Raises:
            InputError: if there is no validation split.
        """
        images, labels = (self.test, self.test_labels) if name == "test" else (self.val, self.val_labels)
        if images is None or labels is None:
            raise InputError("these images have no validation split: give an MNISTDataModule")
        return images[:count], labels[:count]


def in_batches(images: Tensor, labels: Tensor, device: torch.device) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield batches of bounded size: their place, pixels float32 in [0, 1] and labels, on the device.

    Args:
        images: uint8 ``(N, C, H, W)``.
        labels: int64 ``(N,)``.
        device: of the network.
    """
    size = max(SMALLEST_BATCH, BATCH_VALUES // math.prod(images.shape[1:]))
    for start in range(0, len(images), size):
        part = slice(start, min(start + size, len(images)))
        yield part, images[part].to(device).float() / 255, labels[part].to(device)


def logits_of(subject: Subject, images: Tensor, progress: Callable[[float], None]) -> np.ndarray:
    """Return the logits of images on the CPU, float32 ``(N, num_classes)``.

    Args:
        subject: a network.
        images: uint8 ``(N, C, H, W)``.
        progress: called with the share that is done.
    """
    parts = []
    for part, batch, _ in in_batches(images, torch.zeros(len(images), dtype=torch.int64), subject.device):
        parts.append(subject.logits(batch).float().cpu())
        progress(part.stop / len(images))
    return torch.cat(parts).numpy()
