"""Training and evaluation batches from images in memory, without worker processes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mnist_zoo.data.augment import Augment

# Images of 28x28 (fewer of larger ones) that are gathered, scaled and augmented in one call. On a CPU their float32
# values (0.8 MB) stay in a core's cache; elsewhere each call costs the start of a few kernels, so there are fewer calls
# (not measured on a GPU yet).
CPU_CHUNK, GPU_CHUNK = 256, 16_384


class Batches:
    """An iterable of batches ``(images, labels)``: float32 ``(B, C, H, W)``, scaled and augmented, and int64 ``(B,)``.

    If the augmentation mixes labels, they are probabilities, float32 ``(B, classes)``.

    The order of the images and the augmentation of each depend on ``(seed, epoch)`` alone. They are the same on every
    device, and the same whether training ran through or was resumed. Lightning sets the epoch through `sampler`; in a
    plain loop each pass over the batches is the next epoch.

    Attributes:
        ends: where each batch ends in the order of the epoch.

    Args:
        images: uint8 ``(N, C, H, W)``, on the device that trains.
        labels: int64 ``(N,)``, on the same device.
        batch_size: images of a batch, over all processes. If the last batch would leave a process with fewer than two
            images, it is merged into the batch before it, because batch norm cannot train on one image.
        scale: a pixel of 0-255 becomes ``pixel * scale + shift``.
        shift: see `scale`.
        shuffle: whether each epoch has a new order.
        count: images of an epoch; by default each once. With more, all images are taken again in another order; with
            fewer, an epoch ends before it has seen all. In order (without `shuffle`) it must be None.
        seed: of the order and the augmentation.
        augment: applied to each image with its own random parameters; its ``then`` to each batch.
        classes: number of classes; by default the largest label and one. Only mixed labels need it.
        rank: index of this process among those that share each batch.
        world_size: number of these processes; `batch_size` must be a multiple of it.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        scale: float = 1 / 255,
        shift: float = 0.0,
        shuffle: bool = False,
        count: int | None = None,
        seed: int = 0,
        augment: Augment | None = None,
        classes: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.images, self.labels = images, labels
        self.batch_size, self.scale, self.shift = batch_size, scale, shift
        self.shuffle, self.seed, self.augment = shuffle, seed, augment
        self.count = len(images) if count is None else count
        self._then = augment.then if augment is not None else None
        self.classes = int(labels.max()) + 1 if classes is None else classes
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._handed_out = 0  # batches of the pass under way
        self._first = 0  # batch that the next pass starts with
        chunk = CPU_CHUNK if images.device.type == "cpu" else GPU_CHUNK
        chunk = min(chunk, chunk * 28 * 28 // images[0].numel())
        self._batches_per_chunk = max(1, chunk // batch_size)
        stops = list(range(batch_size, self.count + batch_size, batch_size))
        stops[-1] = self.count
        if len(stops) > 1 and stops[-1] - stops[-2] < 2 * world_size:
            del stops[-2]
        self.ends = stops
        # The same in images of this process, which takes every world_size-th image.
        self._own_ends = [(stop - rank + world_size - 1) // world_size for stop in stops]

    @property
    def sampler(self) -> Batches:
        """This object. Lightning calls ``loader.sampler.set_epoch(epoch)`` before each epoch."""
        return self

    batch_sampler = sampler  # Lightning reads both attributes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose order and augmentation the next pass has."""
        self.epoch = epoch

    @property
    def position(self) -> int:
        """Number of batches that the pass under way has handed out; 0 after a whole pass."""
        return self._handed_out % len(self)

    def start_at(self, position: int) -> None:
        """Let the next pass, and only that one, start with batch `position`, counted from 0."""
        self._first = position

    def share(self, batch: int) -> float:
        """Return this process's number of images in a batch over the mean number of all processes.

        It differs from 1 only in a last batch that the processes cannot share evenly.
        """
        start, own_start = (self.ends[batch - 1], self._own_ends[batch - 1]) if batch else (0, 0)
        return (self._own_ends[batch] - own_start) * self.world_size / (self.ends[batch] - start)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        first, self._first = self._first, 0
        for position, batch in enumerate(self._prepare()):
            if position >= first:
                self._handed_out = position + 1
                yield batch

    def _prepare(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch, prepared some at a time."""
        device, epoch, generator = self.images.device, self.epoch, torch.Generator()
        self.epoch += 1
        order, draws = self.draw(self.seed, epoch)
        own = slice(self.rank, None, self.world_size)
        order = order[own].to(device)
        draws = None if draws is None else draws[own].to(device)

        start = 0
        for first in range(0, len(self), self._batches_per_chunk):
            ends = self._own_ends[first : first + self._batches_per_chunk]
            chunk = order[start : ends[-1]]
            # index_select copies whole images; indexing with [] copies pixel by pixel, which is slower.
            images, labels = self.images.index_select(0, chunk).float(), self.labels.index_select(0, chunk)
            if self.augment and draws is not None:
                images = self.augment(images, draws[start : ends[-1]])
            sizes = [end - begin for begin, end in zip([start, *ends], ends, strict=False)]
            if self._then is None:
                images.mul_(self.scale).add_(self.shift)
                yield from zip(images.split(sizes), labels.split(sizes), strict=True)
            else:
                for place, part in enumerate(zip(images.split(sizes), labels.split(sizes), strict=True), start=first):
                    generator.manual_seed(mix(self.seed, epoch, self.rank, 1 + place))
                    changed, targets = self._then(*part, self.classes, generator)
                    yield changed * self.scale + self.shift, targets
            start = ends[-1]

    def draw(self, seed: int, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Return what is random in an epoch: the images' numbers in its order, int64 ``(count,)``, and `Augment.draw`.

        Both are on the CPU, for the whole epoch: the same on every device, and no transfer within the epoch. The second
        is None without augmentation.
        """
        generator = torch.Generator().manual_seed(mix(seed, epoch))
        order = self._order(generator) if self.shuffle else torch.arange(len(self.images))
        return order, self.augment.draw(self.count, generator) if self.augment else None

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return the numbers of the images of an epoch in random order, int64 ``(count,)``."""
        passes = math.ceil(self.count / len(self.images))
        return torch.cat([torch.randperm(len(self.images), generator=generator) for _ in range(passes)])[: self.count]


def mix(*numbers: int) -> int:
    """Return 63 bits that differ in about half of their places for neighbouring numbers, for use as a seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
