"""Random numbers that depend on the seed and on an image's place in its set, and on nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256  # images that share a generator; their numbers are drawn together


class Draws:
    """The random numbers of some images of one block, one row for each image.

    They are always drawn for a whole block on the CPU, and the rows of these images are taken from them. So the numbers
    of an image are the same on every device, and whichever other images are asked for with it.

    Args:
        seed: of the block.
        rows: which images of the block, ``0 <= start < stop <= BLOCK``.
        device: where the numbers are needed.
    """

    def __init__(self, seed: int, rows: slice, device: torch.device):
        self._generator = torch.Generator().manual_seed(seed)
        self._rows, self._device = rows, device

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers from 0 to 1, float32 ``(B, *shape)``; 1 is excluded."""
        return self._own(torch.rand(BLOCK, *shape, generator=self._generator))

    def normal(self, *shape: int) -> Tensor:
        """Return normal numbers with mean 0 and standard deviation 1, float32 ``(B, *shape)``."""
        return self._own(torch.randn(BLOCK, *shape, generator=self._generator))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return integers from `low` to `high`, both included, int64 ``(B, *shape)``."""
        return self._own(torch.randint(low, high + 1, (BLOCK, *shape), generator=self._generator))

    def sign(self, *shape: int) -> Tensor:
        """Return -1 or 1 with equal probability, float32 ``(B, *shape)``."""
        return 2.0 * self.integers(0, 1, *shape) - 1.0

    def shared(self, *shape: int) -> Tensor:
        """Return numbers from -1 to 1 that all images of the block share, float32 of this shape."""
        return (2 * torch.rand(shape, generator=self._generator) - 1).to(self._device)

    def _own(self, numbers: Tensor) -> Tensor:
        return numbers[self._rows].to(self._device)
