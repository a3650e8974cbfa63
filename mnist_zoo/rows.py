"""Rows gathered batch by batch, without holding on to the batches' own memory."""

from __future__ import annotations

import torch
from torch import Tensor


class Rows:
    """The rows of tensors ``(B, ...)`` one after another, in memory of its own.

    A list of the tensors would do, but each would pin the freed activations that its few bytes were cut from, and the
    next batch could not have them: an evaluation could take gigabytes so.
    """

    def __init__(self):
        self._memory: Tensor | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: Tensor) -> None:
        """Copy rows behind those so far; a first batch decides on type, device and shape."""
        count = self._count + len(rows)
        if not self._count and self._memory is not None and _kind(self._memory) != _kind(rows):
            self._memory = None
        if self._memory is None or count > len(self._memory):
            old = self._memory
            with torch.inference_mode(False):  # what validation takes must serve the training, too
                self._memory = rows.new_empty((2 * count, *rows.shape[1:]))  # doubled: a row is copied once or twice
            if self._count:
                self._memory[: self._count] = old[: self._count]
        self._memory[self._count : count] = rows
        self._count = count

    def to(self, device: torch.device) -> None:
        """Move the rows to a device."""
        if self._memory is not None:
            self._memory = self._memory.to(device)

    def tensor(self) -> Tensor:
        """Return all rows, as a view that holds until the next `append`."""
        if self._memory is None:
            raise ValueError("no rows were appended")
        return self._memory[: self._count]

    def clear(self) -> None:
        """Forget the rows, and keep their memory for the next ones."""
        self._count = 0


def _kind(rows: Tensor) -> tuple:
    return rows.dtype, rows.device, rows.shape[1:]
