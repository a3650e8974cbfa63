"""One layer that learns without labels: a denoising autoencoder, or a restricted Boltzmann machine.

Both have sigmoid units, and weights that are shared between the way up and the way down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor


class Layer(ABC):
    """Weights ``(hidden, visible)`` and the biases of both sides.

    Args:
        visible, hidden: numbers of units.
    """

    def __init__(self, visible: int, hidden: int):
        self.weight = torch.zeros(hidden, visible)
        self.hidden_bias, self.visible_bias = torch.zeros(hidden), torch.zeros(visible)

    def encode(self, visible: Tensor) -> Tensor:
        """Return the probabilities of the hidden units, ``(N, visible)`` to ``(N, hidden)``."""
        return F.linear(visible, self.weight, self.hidden_bias).sigmoid()

    def decode(self, hidden: Tensor) -> Tensor:
        """Return the probabilities of the visible units, ``(N, hidden)`` to ``(N, visible)``."""
        return F.linear(hidden, self.weight.T, self.visible_bias).sigmoid()

    def corrupt(self, visible: Tensor) -> Tensor:
        """Return what the layer sees of its input in training."""
        return visible

    @abstractmethod
    def step(self, visible: Tensor, rate: float, epoch: int) -> float:
        """Learn from a batch ``(N, visible)`` of values from 0 to 1.

        Args:
            visible: the batch.
            rate: learning rate.
            epoch: counted from 0.

        Returns:
            The cross-entropy of the batch and its reconstruction: the sum over units, the mean over images, in nats.
        """


def cross_entropy(reconstruction: Tensor, visible: Tensor) -> Tensor:
    """Return the cross-entropy in nats of probabilities ``(N, V)``: the sum over units, the mean over images."""
    return F.binary_cross_entropy(reconstruction, visible, reduction="sum") / len(visible)


class DenoisingAutoencoder(Layer):
    """An autoencoder that draws its input from a copy in which a share of the values is zero.

    Source: Vincent et al. 2008, section 2: masking noise, shared weights, cross-entropy, gradient descent. Unstated
    there: initial weights, here Glorot's uniform ones, four times as large for sigmoid units.

    Args:
        visible, hidden: numbers of units.
        noise: share of the values that become zero.
    """

    def __init__(self, visible: int, hidden: int, noise: float):
        super().__init__(visible, hidden)
        self.noise = noise
        torch.nn.init.xavier_uniform_(self.weight, gain=4.0)

    def corrupt(self, visible: Tensor) -> Tensor:
        return visible * (torch.rand_like(visible) >= self.noise)

    def step(self, visible: Tensor, rate: float, epoch: int) -> float:
        parameters = (self.weight, self.hidden_bias, self.visible_bias)
        for parameter in parameters:
            parameter.requires_grad_()
        loss = cross_entropy(self.decode(self.encode(self.corrupt(visible))), visible)
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(False)
            parameter -= rate * gradient
        return loss.item()


class RBM(Layer):
    """A restricted Boltzmann machine, trained by contrastive divergence with one step (CD-1).

    Source: Hinton et al. 2006, section 2 and appendix, with the settings of Hinton and Salakhutdinov 2006: momentum
    0.5, from the sixth epoch on 0.9, weight decay 2e-4. Weights are drawn with standard deviation 0.01. Hidden units
    are sampled on the way down; all other units are probabilities.

    Args:
        visible, hidden: numbers of units.
    """

    DECAY = 2e-4
    EARLY = 5  # epochs with the lower momentum

    def __init__(self, visible: int, hidden: int):
        super().__init__(visible, hidden)
        torch.nn.init.normal_(self.weight, std=0.01)
        self._velocity = [torch.zeros_like(each) for each in (self.weight, self.hidden_bias, self.visible_bias)]

    def step(self, visible: Tensor, rate: float, epoch: int) -> float:
        first = self.encode(visible)
        down = self.decode(torch.bernoulli(first))
        second = self.encode(down)
        size = len(visible)
        changes = (
            (first.T @ visible - second.T @ down) / size - self.DECAY * self.weight,
            (first - second).mean(0),
            (visible - down).mean(0),
        )
        momentum = 0.5 if epoch < self.EARLY else 0.9
        parameters = (self.weight, self.hidden_bias, self.visible_bias)
        for parameter, velocity, change in zip(parameters, self._velocity, changes, strict=True):
            velocity.mul_(momentum).add_(change, alpha=rate)
            parameter += velocity
        return cross_entropy(down, visible).item()
