"""Muon: orthogonalised momentum for the hidden weight matrices, AdamW for all other parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mnist_zoo.optim.building import register_optimizer

# Of the odd polynomial a x + b x^3 + c x^5, which sends singular values to about 1 (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
RMS = 0.2  # root mean square of an update of AdamW (Liu et al. 2025, section 2.2)


@register_optimizer("muon")
class Muon(Optimizer):
    """Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").

    A hidden weight is one of two or more dimensions, without the first and the last of these in the order of the
    parameters: they are the input and the output layer. A kernel ``(O, I, H, W)`` counts as a matrix ``(O, I H W)``.
    The updates are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", equation 4), so
    that one learning rate, in the range of Adam's, serves all parameters. torch's own ``torch.optim.Muon`` takes
    matrices only, and no other parameters beside them. Newton and Schulz's iteration is computed in the weights' dtype.

    Args:
        params: parameters of the network, in its order.
        lr: learning rate.
        momentum: decay of the average of the gradients.
        nesterov: whether the update looks a step ahead.
        iterations: of Newton and Schulz.
        weight_decay: decoupled from the gradient, for all parameters.
        betas, eps: of AdamW, for the other parameters.

    Raises:
        ValueError: if a value is out of range, or the network has no hidden weight matrix.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        iterations: int = 5,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        if len(betas) != 2:
            raise ValueError(f"betas={betas}: it must have 2 entries")
        if not lr >= 0 or not all(0 <= beta < 1 for beta in (momentum, *betas)) or iterations < 1 or weight_decay < 0:
            raise ValueError(f"lr={lr}, momentum={momentum}, betas={betas}, iterations={iterations}: out of range")
        weights = list(params)
        hidden = [place for place, weight in enumerate(weights) if weight.ndim >= 2][1:-1]
        if not hidden:
            raise ValueError("the network has no hidden weight matrix, only an input and an output layer: use adamw")
        groups = [
            {"params": [weights[place] for place in hidden], "hidden": True},
            {"params": [weight for place, weight in enumerate(weights) if place not in hidden], "hidden": False},
        ]
        defaults = {
            **{"lr": lr, "momentum": momentum, "nesterov": nesterov, "iterations": iterations},
            **{"weight_decay": weight_decay, "betas": tuple(betas), "eps": eps},
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step; `closure` computes the loss again."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._orthogonal if group["hidden"] else self._adam
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(update(weight, weight.grad, group), alpha=group["lr"])
        return loss

    def _orthogonal(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[weight]
        if not state:
            state["average"] = torch.zeros_like(weight)
        average: Tensor = state["average"]
        average.lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(average, group["momentum"]) if group["nesterov"] else average
        matrix = orthogonalised(direction.flatten(1), group["iterations"])
        return matrix.mul_(RMS * math.sqrt(max(matrix.shape))).view_as(weight)

    def _adam(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state, (first, second) = self.state[weight], group["betas"]
        if not state:
            state.update(step=0, average=torch.zeros_like(weight), squares=torch.zeros_like(weight))
        state["step"] += 1
        state["average"].lerp_(gradient, 1 - first)
        state["squares"].lerp_(gradient.square(), 1 - second)
        scale = (state["squares"] / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        return state["average"] / (1 - first ** state["step"]) / scale


def orthogonalised(matrix: Tensor, iterations: int) -> Tensor:
    """Return the matrix with singular values near 1, by Newton and Schulz's iteration; ``(M, N)`` to ``(M, N)``."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(iterations):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.T.contiguous() if tall else wide
