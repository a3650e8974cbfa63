"""Attacks by gradients on pixels: their steps, and the attack against which a network is trained.

The tests of `mnist_zoo.robustness` use the same steps. A network here takes pixels from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.errors import InputError, unknown

Network = Callable[[Tensor], Tensor]  # pixels (N, C, H, W) to logits (N, num_classes)
NORMS = ("linf", "l2")
LARGEST_EPSILON = {"linf": 1.0, "l2": 100.0}
DEFAULTS: dict[str, dict[str, float | int]] = {
    "none": {},
    "fgsm": {"epsilon": 0.3, "step_size": 0.375, "warmup": 0},
    "pgd": {"epsilon": 0.3, "step_size": 0.075, "steps": 10, "warmup": 0},
}
MOST_STEPS = 10_000
SHORTEST = 1e-12  # a length that is divided by, so that 0 / 0 is 0


def random_start(
    pixels: Tensor, epsilon: float, norm: str = "linf", generator: torch.Generator | None = None
) -> Tensor:
    """Return random pixels within `epsilon` of `pixels`, clipped to [0, 1]; uniform in the ball.

    Args:
        pixels: float ``(N, C, H, W)``.
        epsilon: radius.
        norm: ``linf`` or ``l2``.
        generator: of the CPU, so that every device gets the same numbers; None: torch's own, on the device.
    """
    device = pixels.device if generator is None else torch.device("cpu")
    options: dict[str, Any] = {"generator": generator, "device": device, "dtype": pixels.dtype}
    if norm == "linf":
        change = (2 * torch.rand(pixels.shape, **options) - 1) * epsilon
    else:
        change = _unit(torch.randn(pixels.shape, **options))
        radius = torch.rand((len(pixels), 1, 1, 1), **options) ** (1 / math.prod(pixels.shape[1:]))
        change = change * (epsilon * radius)
    return (pixels + change.to(pixels.device)).clamp(0, 1)


def step(attacked: Tensor, gradient: Tensor, pixels: Tensor, step_size: float, epsilon: float, norm: str) -> Tensor:
    """Return the pixels after one step along the gradient, within `epsilon` of `pixels` and in [0, 1].

    ``linf``: along the sign of the gradient. ``l2``: along the gradient, divided by its length.

    Args:
        attacked: float ``(N, C, H, W)``, where the gradient was computed.
        gradient: of the loss, same shape.
        pixels: the images without attack, same shape.
        step_size: length of the step.
        epsilon: radius of the ball around `pixels`.
        norm: ``linf`` or ``l2``.
    """
    if norm == "linf":
        moved = attacked + step_size * gradient.sign()
        return torch.minimum(torch.maximum(moved, pixels - epsilon), pixels + epsilon).clamp(0, 1)
    change = attacked + step_size * _unit(gradient) - pixels
    length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    # Clipping to [0, 1] moves each pixel towards the image without attack: it stays in the ball.
    return (pixels + change * (epsilon / length.clamp(min=max(epsilon, SHORTEST)))).clamp(0, 1)


def _unit(vectors: Tensor) -> Tensor:
    """Return images divided by their Euclidean length; an image of zeros stays."""
    return vectors / vectors.flatten(1).norm(dim=1).clamp(min=SHORTEST).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Adversary:
    """The attack on the training images of a classifier, in the units of pixels from 0 to 1.

    ``fgsm`` is one step from a random start, with a step size above epsilon (Wong et al. 2020, "Fast is better than
    free", Algorithm 3). ``pgd`` takes several steps (Madry et al. 2018). Both are L-inf attacks. The network is in
    training mode during the attack, as in both papers.

    A small network may never start to learn against the full attack of several steps: its loss stays at that of
    guessing. `warmup` prevents this.

    Attributes:
        name: ``none``, ``fgsm`` or ``pgd``.
        epsilon: largest change of a pixel, above 0 and at most 1.
        step_size: of each step.
        steps: how many.
        warmup: epochs over which epsilon and step size grow linearly to their full size; they have it from then on.
        mean, std: the network's input is ``(pixel - mean) / std``.

    Raises:
        InputError: if a value is out of range.
    """

    name: str = "none"
    epsilon: float = 0.0
    step_size: float = 0.0
    steps: int = 1
    warmup: int = 0
    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, choice: Mapping[str, Any]) -> Adversary:
        """Return the attack of a mapping with ``name`` and options; options that are left out have their defaults.

        Raises:
            InputError: unknown name or option, or a value of another type or out of range.
        """
        name = choice["name"]
        if name not in DEFAULTS:
            raise unknown("adversary", name, DEFAULTS)
        for key in choice:
            if key not in ("name", "mean", "std", *DEFAULTS[name]):
                raise unknown(f"option of adversary '{name}'", key, DEFAULTS[name])
        made = cls(**{**DEFAULTS[name], **choice})
        for key, default in DEFAULTS[name].items():
            value, whole = getattr(made, key), isinstance(default, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise InputError(f"adversary {name}: {key}={value}: it must be {'an integer' if whole else 'a number'}")
        if name != "none" and not (0 < made.epsilon <= 1 and made.step_size > 0 and 1 <= made.steps <= MOST_STEPS):
            raise InputError(
                f"adversary {name}: epsilon={made.epsilon} must be above 0 and at most 1, step_size={made.step_size} "
                f"above 0, and steps={made.steps} from 1 to {MOST_STEPS}"
            )
        if made.warmup < 0:
            raise InputError(f"adversary {name}: warmup={made.warmup} must be 0 epochs or more")
        if not made.std > 0:
            raise InputError(f"adversary.std={made.std}: it must be above 0")
        return made

    def options(self) -> dict[str, Any]:
        """Return name and options as plain values, as a checkpoint holds them."""
        kept = ("name", "mean", "std", *DEFAULTS[self.name]) if self.name != "none" else ("name",)
        return {key: value for key, value in asdict(self).items() if key in kept}

    def attack(self, network: Network, images: Tensor, labels: Tensor, epoch: int | None = None) -> Tensor:
        """Return attacked images of a batch.

        Args:
            network: the classifier's own; the input that it gets is normalised. A first output is its logits.
            images: normalised, float ``(N, C, H, W)``.
            labels: int64 ``(N,)``.
            epoch: counted from 0, for the warm-up; None: the full attack.
        """
        share = 1.0 if epoch is None else min(1.0, (epoch + 1) / (self.warmup + 1))
        epsilon, step_size = share * self.epsilon, share * self.step_size
        pixels = images.detach() * self.std + self.mean
        attacked = random_start(pixels, epsilon)
        for _ in range(self.steps):
            attacked.requires_grad_()
            output = network((attacked - self.mean) / self.std)
            logits = output[0] if isinstance(output, tuple) else output
            # The sum, so that the gradient of an image does not depend on the others; only its sign is used. The
            # parameters take no gradient here.
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, attacked)
            attacked = step(attacked.detach(), gradient, pixels, step_size, epsilon, "linf")
        return (attacked - self.mean) / self.std
