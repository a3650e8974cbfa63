"""The networks of the jobs of a stack as one: each weight is a tensor whose first dimension counts the jobs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mnist_zoo.losses import build_loss


class _WithPenalty(nn.Module):
    """A network that returns its logits and its penalty, 0 if it has none."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        if not isinstance(logits, Tensor):
            raise TypeError("the network has auxiliary heads")
        penalty = getattr(self.network, "penalty", None)
        found = penalty() if penalty is not None else None
        return logits, logits.new_zeros(()) if found is None else found


class StackedNetwork:
    """``J`` networks of one structure, which compute at once under ``torch.func.vmap``.

    Args:
        networks: whose weights and buffers are copied.
        loss: name and options of the loss, equal for all jobs.
        smoothing: the label smoothing of each job.
        device: where they train.

    Attributes:
        weights: parameters by name, ``(J, ...)``, leaves with gradients.
        buffers: by name, ``(J, ...)``.
    """

    def __init__(
        self, networks: Sequence[nn.Module], loss: dict[str, Any], smoothing: Sequence[float], device: torch.device
    ):
        self._module = _WithPenalty(copy.deepcopy(networks[0])).to(device)
        stacked = [_WithPenalty(network) for network in networks]
        self.weights = {
            name: torch.stack([each.get_parameter(name).detach() for each in stacked]).to(device).requires_grad_()
            for name, _ in self._module.named_parameters()
        }
        self.buffers = {
            name: torch.stack([each.get_buffer(name) for each in stacked]).to(device)
            for name, _ in self._module.named_buffers()
        }
        for weight in self.weights.values():
            weight.grad = torch.zeros_like(weight)
        self._smoothing = torch.tensor(smoothing, device=device)
        self._loss = _loss_of(loss, smoothing)
        self._of_all = vmap(self._of_one, in_dims=(0, 0, 0, 0, 0))

    def views(self, job: int) -> list[nn.Parameter]:
        """Return the parameters of a job, in the network's order: views of the stacked ones, with their gradients."""
        found = []
        for weight in self.weights.values():
            view = nn.Parameter(weight.detach()[job])
            view.grad = weight.grad[job] if weight.grad is not None else None
            found.append(view)
        return found

    def backward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the gradient of the loss of every job, and return the logits ``(J, B, C)``.

        Args:
            images: float32 ``(J, B, C, H, W)``.
            labels: int64 ``(J, B)``.
        """
        self._module.train()
        losses, logits = self._of_all(self.weights, self.buffers, images, labels, self._smoothing)
        # The loss of a job depends on its own weights only: the gradient of the sum is that of each.
        found = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        for weight, gradient in zip(self.weights.values(), found, strict=True):
            assert weight.grad is not None
            weight.grad.copy_(gradient)
        return logits.detach()

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits ``(J, B, C)`` of every job for the same images ``(B, C, H, W)``, as in evaluation."""
        self._module.eval()

        def of_one(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return functional_call(self._module, (weights, buffers), (images,))[0]

        return vmap(of_one)(self.weights, self.buffers)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and buffers ``(J, ...)`` by the network's own names."""
        return {name.removeprefix("network."): tensor for name, tensor in (self.weights | self.buffers).items()}

    def copies(self) -> dict[str, Tensor]:
        """Return copies of them."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors().items()}

    @torch.no_grad()
    def take(self, copies: dict[str, Tensor]) -> None:
        """Replace them by those of `copies`."""
        for name, tensor in self.tensors().items():
            tensor.copy_(copies[name])

    def _of_one(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, labels: Tensor, smoothing: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits, penalty = functional_call(self._module, (weights, buffers), (images,))
        return self._loss(logits, labels, smoothing) + penalty, logits


def _loss_of(loss: dict[str, Any], smoothing: Sequence[float]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the loss of one job: of logits ``(B, C)``, labels ``(B,)`` and the label smoothing, a scalar."""
    if len(set(smoothing)) == 1:
        same = build_loss(loss, smoothing[0])
        return lambda logits, labels, _: same(logits, labels)

    def smoothed(logits: Tensor, labels: Tensor, share: Tensor) -> Tensor:
        even = -logits.log_softmax(1).mean()
        return F.cross_entropy(logits, labels) * (1 - share) + even * share

    return smoothed
