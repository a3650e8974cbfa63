"""Lion: the sign of a moving average of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mnist_zoo.optim.building import register_optimizer


@register_optimizer("lion")
class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): every weight moves by ``lr`` in the direction of a sign.

    The authors recommend a learning rate 3 to 10 times below Adam's, and a weight decay larger by the same factor.

    Args:
        params: parameters of the network.
        lr: learning rate.
        betas: the share of the average in the sign, and the decay of the average.
        weight_decay: decoupled from the gradient, as in AdamW.

    Raises:
        ValueError: if a value is out of range.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ):
        if len(betas) != 2:
            raise ValueError(f"betas={betas}: it must have 2 entries")
        if not lr >= 0 or not all(0 <= beta < 1 for beta in betas) or not weight_decay >= 0:
            raise ValueError(f"lr={lr}, betas={betas}, weight_decay={weight_decay}: one of them is out of range")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step; `closure` computes the loss again."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (sign, decay), lr = group["betas"], group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"]
                weight.mul_(1 - lr * group["weight_decay"])
                weight.add_(average.lerp(weight.grad, 1 - sign).sign_(), alpha=-lr)
                average.lerp_(weight.grad, 1 - decay)
        return loss
