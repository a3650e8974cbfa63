"""Ready batches from images in memory: no worker processes, no image touched on its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mnist_zoo.data.augment import DRAWS, Augment
from mnist_zoo.errors import InputError

CHUNK = 256  # images gathered, scaled and augmented at once: their floats, 0.8 MB, stay in a core's cache meanwhile
LIST = 2048  # images of a list of batches


class Batches:
    """An iterable of ``(images, labels)``: float32 ``(B, C, H, W)`` scaled and augmented, int64 ``(B,)``.

    The order and every image's augmentation depend on ``(seed, epoch)`` alone, not on what ran before, nor on the
    device: a run continued at epoch 5 sees what an uninterrupted one sees there. Lightning sets the epoch through
    `sampler`; in a plain loop each pass over the batches is the next epoch.

    Args:
        images: uint8 ``(N, C, H, W)``, on the device that trains.
        labels: int64 ``(N,)``, on the same device.
        batch_size: images a batch over all processes. A last batch that would leave a process fewer than two images
            is merged into the one before: batch norm cannot train on one.
        scale, shift: a pixel of 0-255 becomes ``pixel * scale + shift``.
        shuffle: new order each epoch.
        seed: of the order and the augmentation.
        augment: what to do to each image; needs no `shuffle`.
        rank, world_size: this process and the number of processes that share each batch; `batch_size` must be a
            multiple of `world_size`.
        grouped: yield lists of consecutive batches, as many as ``LIST`` images make (at least one), for a training
            step that takes several optimizer steps; ``len`` then counts the lists.
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
        seed: int = 0,
        augment: Augment | None = None,
        rank: int = 0,
        world_size: int = 1,
        grouped: bool = False,
    ):
        self.images, self.labels = images, labels
        self.batch_size, self.scale, self.shift = batch_size, scale, shift
        self.shuffle, self.seed, self.augment = shuffle, seed, augment
        self.rank, self.world_size, self.grouped = rank, world_size, grouped
        self.epoch = 0
        self._per_chunk, self._per_list = max(1, CHUNK // batch_size), max(1, LIST // batch_size)  # batches
        self._position = 0  # how many items (batches, or lists of them) the pass under way has handed out
        self._first = 0  # how many of them the next pass leaves out
        stops = list(range(batch_size, len(images) + batch_size, batch_size))
        stops[-1] = len(images)
        if len(stops) > 1 and stops[-1] - stops[-2] < 2 * world_size:
            del stops[-2]
        # Images of the epoch's order that this process has seen when a batch ends: it takes every world_size-th.
        self._stops = [(stop - rank + world_size - 1) // world_size for stop in stops]

    @property
    def sampler(self) -> Batches:
        """This object: Lightning calls ``loader.sampler.set_epoch(epoch)`` before each epoch."""
        return self

    batch_sampler = sampler  # Lightning asks a loader that has the one for the other

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (counted from 0) whose order and augmentation the next pass has."""
        self.epoch = epoch

    @property
    def num_batches(self) -> int:
        """How many batches an epoch has, grouped or not."""
        return len(self._stops)

    def state_dict(self) -> dict:
        """Return where the pass under way stands: Lightning puts it into checkpoints."""
        return {"position": self._position % len(self), "batches": len(self)}

    def load_state_dict(self, state_dict: dict) -> None:
        """Let the next pass start where another one stood.

        Raises:
            InputError: if that was within an epoch of other batches.
        """
        if state_dict["position"] and state_dict["batches"] != len(self):
            raise InputError(
                f"the checkpoint is of an epoch of {state_dict['batches']} batches, and here are {len(self)}: continue "
                f"with the devices and settings that the run had, or start a new one"
            )
        self._first = state_dict["position"]

    def __len__(self) -> int:
        return -(-self.num_batches // self._per_list) if self.grouped else self.num_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]] | Iterator[list[tuple[Tensor, Tensor]]]:
        first, self._first = self._first, 0
        for position, batch in enumerate(self._lists() if self.grouped else self._batches(), 1):
            self._position = position
            if position > first:
                yield batch

    def _lists(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        batches = self._batches()
        while batch_list := list(islice(batches, self._per_list)):
            yield batch_list

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        device, count = self.images.device, len(self.images)
        # Drawn on the CPU for all images at once: the same numbers on every device, and no transfer inside the epoch.
        generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch))
        self.epoch += 1
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        draws = torch.rand(count, DRAWS, generator=generator) if self.augment else None
        mine = slice(self.rank, None, self.world_size)
        order = order[mine].to(device)
        draws = None if draws is None else draws[mine].to(device)

        start = 0
        for first in range(0, self.num_batches, self._per_chunk):
            stops = self._stops[first : first + self._per_chunk]
            chunk = order[start : stops[-1]]
            # This copies an image at a time; indexing with [] goes pixel by pixel.
            images, labels = self.images.index_select(0, chunk).float(), self.labels.index_select(0, chunk)
            if draws is not None:
                images = self.augment(images, draws[start : stops[-1]])
            images.mul_(self.scale).add_(self.shift)
            sizes = [stop - before for stop, before in zip(stops, [start, *stops], strict=False)]
            yield from zip(images.split(sizes), labels.split(sizes), strict=True)
            start = stops[-1]


def _mix(seed: int, epoch: int) -> int:
    """Return 63 well-mixed bits, so that neighbouring seeds and epochs share nothing."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
