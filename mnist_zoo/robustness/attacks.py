"""Attacks that follow the gradient: FGSM, and PGD in the L-inf and L2 norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.adversary import LARGEST_EPSILON, random_start, step
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test, require, require_list
from mnist_zoo.robustness.subject import Subject

RISE = 0.02  # accuracy; a larger epsilon that gains as much is no accident of the sample
CHANCE = 0.05  # accuracy that may be left when every pixel may have any value
MOST = 100_000  # steps or restarts


@dataclass(frozen=True)
class FGSMSettings(Settings):
    """Settings of `fgsm`.

    Attributes:
        epsilons: largest changes of a pixel, ascending, from 0 to 1.
    """

    images: int | None = 1000
    epsilons: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_list("epsilons", self.epsilons, 0, LARGEST_EPSILON["linf"])


@dataclass(frozen=True)
class PGDSettings(Settings):
    """Settings of `pgd`.

    Attributes:
        epsilons: largest changes of a pixel, ascending, from 0 to 1.
        steps: of each attack.
        step_size: of each step; None: 2.5 epsilon / steps (Madry et al. 2018).
        restarts: attacks from different random starts; an image is broken if one of them succeeds.
    """

    images: int | None = 1000
    epsilons: tuple[float, ...] = (0.1, 0.2, 0.3)
    steps: int = 40
    step_size: float | None = None
    restarts: int = 1

    norm = "linf"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_list("epsilons", self.epsilons, 0, LARGEST_EPSILON[self.norm])
        require("steps", self.steps, 1, MOST, whole=True)
        require("restarts", self.restarts, 1, MOST, whole=True)
        if self.step_size is not None:
            require("step_size", self.step_size, 1e-6, 2 * LARGEST_EPSILON[self.norm])


@dataclass(frozen=True)
class L2Settings(PGDSettings):
    """Settings of `pgd_l2`: as those of `pgd`, with epsilons as Euclidean distances of images, from 0 to 100."""

    epsilons: tuple[float, ...] = (1.0, 2.0, 3.0)

    norm = "l2"


def attack_summary(values: Mapping[str, Any]) -> str:
    """Return the accuracies of an attack on one line."""
    pairs = zip(values["epsilons"], values["accuracy"], strict=True)
    curve = ", ".join(f"{accuracy:.4f} at {epsilon:g}" for epsilon, accuracy in pairs)
    signs = f"; signs of masked gradients: {'; '.join(values['signs'])}" if values["signs"] else ""
    return f"accuracy {values['clean_accuracy']:.4f} without attack, {curve}{signs}"


def rises(epsilons: tuple[float, ...], accuracy: list[float]) -> list[str]:
    """Return a sign of masked gradients for each larger epsilon that leaves a clearly higher accuracy."""
    return [
        f"epsilon {epsilons[place]:g} is weaker than {epsilons[place - 1]:g}"
        for place in range(1, len(epsilons))
        if accuracy[place] > accuracy[place - 1] + RISE
    ]


@register_test("fgsm", attack_summary, FGSMSettings)
def fgsm(subject: Subject, images: Images, settings: FGSMSettings, progress: Progress) -> Outcome:
    """Attack with one step of the sign of the gradient, without random start (Goodfellow et al. 2015).

    One gradient of each image serves all epsilons. An image that is wrong without attack counts as wrong.

    Returns:
        Values ``norm``, ``epsilons``, ``clean_accuracy``, ``accuracy`` (one for each epsilon), ``signs``. Array
        ``correct``: bool ``(E, N)``, which images are still correct.
    """
    pixels, labels = images.split(settings.split, settings.images)
    clean = torch.zeros(len(labels), dtype=torch.bool)
    correct = torch.zeros(len(settings.epsilons), len(labels), dtype=torch.bool)
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        gradient, logits = loss_gradient(subject, batch, targets)
        right = logits.argmax(1) == targets
        clean[part] = right.cpu()
        batch, targets, direction = batch[right], targets[right], gradient[right].sign()
        for row, epsilon in enumerate(settings.epsilons if len(batch) else ()):  # not every network takes no images
            found = subject.logits((batch + epsilon * direction).clamp(0, 1)).argmax(1)
            correct[row, part][clean[part]] = (found == targets).cpu()
        progress(part.stop / len(labels))
    return attack_outcome("linf", settings.epsilons, clean, correct, [])


@register_test("pgd", attack_summary, PGDSettings)
def pgd(subject: Subject, images: Images, settings: PGDSettings, progress: Progress) -> Outcome:
    """Attack with projected gradient descent in the L-inf norm (Madry et al. 2018), from random starts.

    An image is broken as soon as one step of one restart gives another class, and is then left alone. Each epsilon is
    attacked for itself, so that a larger one that is weaker shows. Also measured: random changes of the same size, and
    the attack with epsilon 1, which may replace the whole image.

    Returns:
        As `fgsm`, and the values ``noise_accuracy`` (each pixel changed by epsilon up or down at random) and
        ``accuracy_at_1``, on at most 200 of the images.
    """
    outcome = _curve(subject, images, settings, progress)
    values = outcome.values
    pixels, labels = images.split(settings.split, settings.images)
    few = slice(0, 200)
    with_noise = _with_noise(subject, pixels, labels, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    whole = torch.cat(
        [
            break_images(subject, batch, targets, 1.0, settings, generator).cpu()
            for _, batch, targets in in_batches(pixels[few], labels[few], subject.device)
        ]
    )
    values |= {"noise_accuracy": with_noise, "accuracy_at_1": whole.double().mean().item()}
    signs = [
        f"random noise is stronger at epsilon {epsilon:g}"
        for epsilon, noisy, attacked in zip(settings.epsilons, with_noise, values["accuracy"], strict=True)
        if noisy < attacked - RISE
    ]
    crosses = settings.step_size is None or settings.step_size * settings.steps >= 1
    if crosses and values["accuracy_at_1"] > CHANCE:  # shorter steps cannot replace the image, whatever the gradients
        signs.append(f"with epsilon 1 an accuracy of {values['accuracy_at_1']:.2f} is left")
    values["signs"] += signs
    return outcome


@register_test("pgd_l2", attack_summary, L2Settings)
def pgd_l2(subject: Subject, images: Images, settings: L2Settings, progress: Progress) -> Outcome:
    """Attack with projected gradient descent in the L2 norm, from random starts; else as `pgd`.

    Returns:
        As `fgsm`; epsilons are Euclidean distances between images of pixels from 0 to 1.
    """
    return _curve(subject, images, settings, progress)


def _curve(subject: Subject, images: Images, settings: PGDSettings, progress: Progress) -> Outcome:
    """Return the outcome of PGD at every epsilon."""
    pixels, labels = images.split(settings.split, settings.images)
    clean = torch.zeros(len(labels), dtype=torch.bool)
    correct = torch.zeros(len(settings.epsilons), len(labels), dtype=torch.bool)
    generator = torch.Generator().manual_seed(settings.seed)
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        right = subject.logits(batch).argmax(1) == targets
        clean[part] = right.cpu()
        batch, targets = batch[right], targets[right]
        for row, epsilon in enumerate(settings.epsilons):
            kept = break_images(subject, batch, targets, epsilon, settings, generator)
            correct[row, part][clean[part]] = kept.cpu()
            progress((part.start + len(pixels[part]) * (row + 1) / len(correct)) / len(labels))
    return attack_outcome(settings.norm, settings.epsilons, clean, correct, [])


def break_images(
    subject: Subject,
    pixels: Tensor,
    labels: Tensor,
    epsilon: float,
    settings: PGDSettings,
    generator: torch.Generator,
) -> Tensor:
    """Attack a batch with PGD and return which images keep their class: bool ``(N,)``.

    Args:
        subject: the network.
        pixels: float ``(N, C, H, W)`` in [0, 1], on the device of the network.
        labels: int64 ``(N,)``.
        epsilon: radius, in the norm of `settings`.
        settings: steps, their size, and restarts.
        generator: of the random starts, on the CPU.
    """
    kept = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    size = 2.5 * epsilon / settings.steps if settings.step_size is None else settings.step_size
    for _ in range(settings.restarts):
        left = kept.nonzero().squeeze(1)  # the images that are still to be broken, which shrink from step to step
        start, targets = pixels[left], labels[left]
        attacked = random_start(start, epsilon, settings.norm, generator)
        for number in range(settings.steps + 1):
            if not len(left):
                break
            last = number == settings.steps
            gradient, logits = (None, subject.logits(attacked)) if last else loss_gradient(subject, attacked, targets)
            holds = logits.argmax(1) == targets
            kept[left[~holds]] = False
            if gradient is None:
                break
            moved = step(attacked, gradient, start, size, epsilon, settings.norm)
            left, start, targets, attacked = left[holds], start[holds], targets[holds], moved[holds]
    return kept


def loss_gradient(subject: Subject, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of each image's cross-entropy with respect to its pixels, and the logits.

    Raises:
        InputError: if the network cannot be differentiated, or its output is NaN or infinite.
    """
    pixels = pixels.detach().requires_grad_()
    logits = subject.finite(subject.network(pixels))
    if not logits.requires_grad:
        raise InputError(f"{subject.name} has no gradients with respect to its images: attack it with square")
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), pixels)
    return gradient, logits.detach()


def _with_noise(subject: Subject, pixels: Tensor, labels: Tensor, settings: PGDSettings) -> list[float]:
    """Return the accuracy for each epsilon when each value is changed by it, up or down at random."""
    generator = torch.Generator().manual_seed(settings.seed)
    right = np.zeros(len(settings.epsilons))
    for _, batch, targets in in_batches(pixels, labels, subject.device):
        signs = torch.randint(0, 2, batch.shape, generator=generator).to(batch.device) * 2.0 - 1
        for row, epsilon in enumerate(settings.epsilons):
            found = subject.logits((batch + epsilon * signs).clamp(0, 1)).argmax(1)
            right[row] += (found == targets).sum().item()
    return (right / len(labels)).tolist()


def attack_outcome(norm: str, epsilons: tuple[float, ...], clean: Tensor, correct: Tensor, signs: list[str]) -> Outcome:
    """Return the outcome of an attack.

    Args:
        norm: ``linf`` or ``l2``.
        epsilons: radii.
        clean: which images are correct without attack, bool ``(N,)``.
        correct: which are correct under attack, bool ``(E, N)``.
        signs: of masked gradients; weaker larger epsilons are added.
    """
    accuracy = correct.double().mean(1).tolist()
    values = {
        "norm": norm,
        "epsilons": list(epsilons),
        "clean_accuracy": clean.double().mean().item(),
        "accuracy": accuracy,
        "signs": rises(epsilons, accuracy) + signs,
    }
    return Outcome(values, {"correct": correct.numpy()})
