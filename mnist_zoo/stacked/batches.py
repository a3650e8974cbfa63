"""The training batches of several jobs at once: each job has its own order of the images and its own augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mnist_zoo.data import Batches

# Bytes of images, as float32, that are gathered, scaled and augmented at once: on a GPU few calls, on a CPU what a
# cache holds.
GPU_BYTES, CPU_BYTES = 256 << 20, 1 << 20


class StackedBatches:
    """The batches of jobs that differ in their seed.

    Args:
        batches: the training batches of one of the jobs, on the device that trains.
        seeds: of each job.
    """

    def __init__(self, batches: Batches, seeds: Sequence[int]):
        self._of_one, self._seeds = batches, seeds
        images = batches.images
        room = CPU_BYTES if images.device.type == "cpu" else GPU_BYTES
        self._at_once = max(1, room // (4 * images[0].numel() * batches.batch_size * len(seeds)))

    def __len__(self) -> int:
        return len(self._of_one)

    @property
    def images(self) -> int:
        """Images of an epoch of one job."""
        return self._of_one.count

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch, counted from 0, some at once.

        Yields:
            Images, float32 ``(K, J, B, C, H, W)``, and labels, int64 ``(K, J, B)``, of ``K`` batches of ``J`` jobs.
        """
        drawn = [self._of_one.draw(seed, number) for seed in self._seeds]
        orders = torch.stack([order for order, _ in drawn]).to(self._of_one.images.device)  # (J, count)
        numbers = [draws for _, draws in drawn if draws is not None]
        draws = torch.stack(numbers) if numbers else None  # (J, count, 22), on the CPU: it is large
        for start, count, size in self._parts():
            stop = start + count * size
            yield self._prepare(orders[:, start:stop], None if draws is None else draws[:, start:stop], size)

    def _parts(self) -> Iterator[tuple[int, int, int]]:
        """Yield first image, number and size of batches of equal size that are prepared at once."""
        start, count, size = 0, 0, 0
        for end in self._of_one.ends:
            following = end - start - count * size
            if count and (following != size or count == self._at_once):
                yield start, count, size
                start, count = start + count * size, 0
            count, size = count + 1, following
        yield start, count, size

    def _prepare(self, order: Tensor, draws: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
        jobs, data = len(order), self._of_one
        chosen = order.view(jobs, -1, size).transpose(0, 1).flatten()
        images, labels = data.images.index_select(0, chosen).float(), data.labels.index_select(0, chosen)
        if data.augment and draws is not None:
            of_each = draws.view(jobs, -1, size, draws.shape[-1]).transpose(0, 1).flatten(0, 2)
            images = data.augment(images, of_each.to(images.device))
        images.mul_(data.scale).add_(data.shift)
        shape = (-1, jobs, size)
        return images.view(*shape, *images.shape[1:]), labels.view(shape)
