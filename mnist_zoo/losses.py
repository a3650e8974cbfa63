"""The registry of losses: named functions of logits and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.errors import InputError
from mnist_zoo.registry import Registry

Loss = Callable[..., Tensor]
AnyLoss = TypeVar("AnyLoss", bound=Loss)
LOSSES: Registry[Loss] = Registry("loss", ("logits", "targets"))


def register_loss(name: str) -> Callable[[AnyLoss], AnyLoss]:
    """Register a function ``(logits, targets, **options) -> loss`` under a name.

    ``logits`` are ``(N, C)`` of any float dtype. ``targets`` are labels, int64 ``(N,)``; with label smoothing, or with
    an augmentation that mixes images, they are probabilities, float ``(N, C)``. The function returns the mean loss of
    the images, a scalar. The other parameters are options of plain types. On the command line:
    ``plugins=[my_package.my_module] loss=my_loss loss.power=3``.

    Raises:
        InputError: if the name is already registered.

    Example:
        >>> import torch
        >>> from mnist_zoo import LitClassifier, register_loss
        >>> from mnist_zoo.losses import probabilities
        >>> @register_loss("brier")
        ... def brier(logits, targets, power=2):
        ...     wrong = (logits.softmax(1) - probabilities(targets, logits.shape[1])).abs()
        ...     return (wrong**power).sum(1).mean()
        >>> classifier = LitClassifier("mlp", loss="brier")
        >>> loss, logits = classifier.compute_loss(torch.zeros(2, 1, 28, 28), torch.tensor([3, 4]))
        >>> loss.shape, logits.shape
        (torch.Size([]), torch.Size([2, 10]))
    """
    return LOSSES.register(name)


def probabilities(targets: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Return targets as probabilities, float ``(N, classes)``.

    Args:
        targets: labels, int64 ``(N,)``, or probabilities, float ``(N, classes)``.
        classes: number of classes.
        smoothing: share that is spread over all classes (Szegedy et al. 2016, section 7).
    """
    soft = targets if targets.is_floating_point() else F.one_hot(targets, classes).float()
    return soft * (1 - smoothing) + smoothing / classes if smoothing else soft


@register_loss("cross_entropy")
def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats."""
    return F.cross_entropy(logits, targets)


@register_loss("focal")
def focal(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Return the mean focal loss in nats: cross-entropy that counts confident predictions less (Lin et al. 2017).

    A class of probability p counts ``(1 - p)**gamma`` times its cross-entropy (equation 4, with no weights of classes).
    With probabilities as targets it is the sum over classes, each with its share.

    Args:
        logits: ``(N, C)``.
        targets: int64 ``(N,)`` or float ``(N, C)``.
        gamma: 0 is the cross-entropy.
    """
    logs = logits.log_softmax(1)
    # Not below eps: at 0 a power below 1 has an infinite gradient.
    rest = (1 - logs.exp()).clamp(min=torch.finfo(logs.dtype).eps)
    each = -(rest**gamma) * logs
    return (each * probabilities(targets, logits.shape[1])).sum(1).mean()


@register_loss("margin")
def margin(logits: Tensor, targets: Tensor, upper: float = 0.9, lower: float = 0.1, down_weight: float = 0.5) -> Tensor:
    """Return the mean margin loss of capsules' lengths, ``logits.sigmoid()`` (Sabour et al. 2017, equation 4).

    The sum over classes of ``max(0, upper - length)^2`` for the true class and ``max(0, length - lower)^2`` for the
    others. With probabilities as targets, each class counts as both, with its share.

    Args:
        logits: ``(N, C)``, as those of `mnist_zoo.models.capsnet.CapsNet`.
        targets: int64 ``(N,)`` or float ``(N, C)``.
        upper: length of the true class that costs nothing.
        lower: length of another class that costs nothing.
        down_weight: weight of the other classes.
    """
    lengths = logits.sigmoid()
    present = probabilities(targets, logits.shape[1])
    missing, wrong = (upper - lengths).relu().square(), (lengths - lower).relu().square()
    return (present * missing + down_weight * (1 - present) * wrong).sum(1).mean()


def build_loss(choice: Mapping[str, Any], label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss as a function of logits ``(N, C)`` and targets, int64 ``(N,)`` or float ``(N, C)``.

    Args:
        choice: ``name``, one of `LOSSES`, and its options.
        label_smoothing: share of the targets that is spread over all classes.

    Raises:
        InputError: unknown name or option. The function raises it if the loss is not a scalar.
    """
    options = dict(choice)
    name = options.pop("name")
    LOSSES.check_options(name, options)
    return partial(_mean_loss, LOSSES[name], name, options, label_smoothing)


def _mean_loss(
    function: Loss, name: str, options: Mapping[str, Any], smoothing: float, logits: Tensor, targets: Tensor
) -> Tensor:
    if function is cross_entropy:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)  # the same, in one kernel
    if smoothing:
        targets = probabilities(targets, logits.shape[1], smoothing)
    value = function(logits, targets, **options)
    if not isinstance(value, Tensor) or value.ndim:
        raise InputError(f"loss '{name}' must return a scalar tensor, the mean over the images")
    return value
