"""A training step of all jobs of a stack: eager, or replayed as a CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist_zoo.stacked.network import StackedNetwork
from mnist_zoo.stacked.optimizers import StackedOptimizer

WARM_UP = 3  # eager steps before a capture, on a stream of their own, as torch's documentation asks for


class Step:
    """A step of training.

    Args:
        network: whose weights change.
        optimizer: of its weights.
    """

    def __init__(self, network: StackedNetwork, optimizer: StackedOptimizer):
        self.network, self.optimizer = network, optimizer

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the logits ``(J, B, C)``, valid until the next step, for ``(J, B, C, H, W)`` and ``(J, B)``."""
        logits = self.network.backward(images, labels)
        self.optimizer.step()
        self.optimizer.next_rates()
        return logits


class CapturedStep(Step):
    """A step that is captured after `WARM_UP` steps; batches of another size go through an eager one.

    The optimizer's step is part of the capture where the optimizer allows it.
    """

    def __init__(self, network: StackedNetwork, optimizer: StackedOptimizer):
        super().__init__(network, optimizer)
        self._side, self._eager_steps = torch.cuda.Stream(), 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._shape: torch.Size | None = None  # of whole batches: a smaller one comes last in an epoch

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        if self._eager_steps < WARM_UP:
            self._eager_steps += 1
            self._shape = self._shape or images.shape
            self._side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._side):
                logits = super().__call__(images, labels)
            torch.cuda.current_stream().wait_stream(self._side)
            return logits
        if images.shape != self._shape:
            return super().__call__(images, labels)
        if self._graph is None:
            self._capture(images, labels)
        self._images.copy_(images)
        self._labels.copy_(labels)
        assert self._graph is not None
        self._graph.replay()
        if not self.optimizer.captured:
            self.optimizer.step()
        self.optimizer.next_rates()
        return self._logits

    def _capture(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = self.network.backward(self._images, self._labels)
            if self.optimizer.captured:
                self.optimizer.step()
