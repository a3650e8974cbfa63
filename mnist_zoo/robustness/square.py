"""The Square attack: random search without gradients, which masked gradients cannot stop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.adversary import LARGEST_EPSILON
from mnist_zoo.robustness.attacks import PGDSettings, attack_outcome, attack_summary, break_images
from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test, require, require_list
from mnist_zoo.robustness.subject import Subject

# The share of the pixels in a square is halved at these queries of 10,000 (section 3.1 of the paper).
HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
STRONGER = 0.01  # accuracy by which the attack must beat PGD to be a sign
MOST_QUERIES = 1_000_000


@dataclass(frozen=True)
class SquareSettings(Settings):
    """Settings of `square`.

    Attributes:
        epsilons: largest changes of a pixel, ascending, from 0 to 1.
        queries: outputs of the network that the attack may see for each image.
        first_share: share of the pixels in the first squares; 0.8 is what the paper uses for MNIST.
    """

    images: int | None = 1000
    epsilons: tuple[float, ...] = (0.1, 0.2, 0.3)
    queries: int = 1000
    first_share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_list("epsilons", self.epsilons, 0, LARGEST_EPSILON["linf"])
        require("queries", self.queries, 1, MOST_QUERIES, whole=True)
        require("first_share", self.first_share, 0.001, 1)


@register_test("square", attack_summary, SquareSettings)
def square(subject: Subject, images: Images, settings: SquareSettings, progress: Progress) -> Outcome:
    """Attack by random search over squares in the L-inf norm, without gradients (Andriushchenko et al. 2020).

    An image that is broken is left alone. The same images are attacked with PGD (40 steps): if the Square attack is
    stronger, the gradients are masked.

    Returns:
        As `mnist_zoo.robustness.attacks.fgsm`, and the value ``pgd_accuracy``, one for each epsilon.
    """
    pixels, labels = images.split(settings.split, settings.images)
    clean = torch.zeros(len(labels), dtype=torch.bool)
    correct, by_pgd = torch.zeros(2, len(settings.epsilons), len(labels), dtype=torch.bool)
    generator = torch.Generator().manual_seed(settings.seed)
    for part, batch, targets in in_batches(pixels, labels, subject.device):
        right = subject.logits(batch).argmax(1) == targets
        clean[part] = right.cpu()
        batch, targets = batch[right], targets[right]
        for row, epsilon in enumerate(settings.epsilons):
            started = (part.start + len(pixels[part]) * row / len(correct)) / len(labels)
            share = len(pixels[part]) / len(correct) / len(labels)

            def report(done: float, started: float = started, share: float = share) -> None:
                progress(started + share * done)

            kept = search(subject, batch, targets, epsilon, settings, generator, report)
            correct[row, part][clean[part]] = kept.cpu()
            kept = break_images(subject, batch, targets, epsilon, PGDSettings(), generator)
            by_pgd[row, part][clean[part]] = kept.cpu()
    pgd_accuracy = by_pgd.double().mean(1).tolist()
    signs = [
        f"Square is stronger than PGD at epsilon {epsilon:g}"
        for epsilon, found, other in zip(settings.epsilons, correct.double().mean(1), pgd_accuracy, strict=True)
        if found < other - STRONGER
    ]
    outcome = attack_outcome("linf", settings.epsilons, clean, correct, signs)
    outcome.values["pgd_accuracy"] = pgd_accuracy
    return outcome


def search(
    subject: Subject,
    pixels: Tensor,
    labels: Tensor,
    epsilon: float,
    settings: SquareSettings,
    generator: torch.Generator,
    progress: Progress = lambda share: None,
) -> Tensor:
    """Attack a batch with random squares and return which images keep their class: bool ``(N,)``.

    Args:
        subject: the network.
        pixels: float ``(N, C, H, W)`` in [0, 1], on the device of the network.
        labels: int64 ``(N,)``.
        epsilon: largest change of a pixel.
        settings: queries and size of the squares.
        generator: of the random squares, on the CPU.
        progress: called with the share of the queries that are done.
    """
    kept = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    left = kept.nonzero().squeeze(1)
    start, targets = pixels, labels
    # The first query: vertical stripes, one pixel wide.
    stripes = _signs((len(start), start.shape[1], 1, start.shape[3]), generator, start.device)
    best = (start + epsilon * stripes).clamp(0, 1)
    margin = _margin(subject.logits(best), targets) if len(left) else start.new_empty(0)
    for query in range(1, settings.queries + 1):
        holds = margin > 0
        if not holds.all():
            kept[left[~holds]] = False
            left, start, targets, best, margin = (each[holds] for each in (left, start, targets, best, margin))
        if not len(left) or query == settings.queries:
            break
        tried = _with_squares(start, best, epsilon, _side(start, query, settings), generator)
        found = _margin(subject.logits(tried), targets)
        better = found < margin
        best = torch.where(better.view(-1, 1, 1, 1), tried, best)
        margin = torch.where(better, found, margin)
        progress(query / settings.queries)
    return kept


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much the logit of the true class exceeds the largest other one, ``(N,)``."""
    true = F.one_hot(labels, logits.shape[1]).bool()
    return logits[true] - logits.masked_fill(true, float("-inf")).amax(1)


def _side(images: Tensor, query: int, settings: SquareSettings) -> int:
    """Return the side of the squares of a query, in pixels: they shrink over the attack."""
    height, width = images.shape[2:]
    place = query / settings.queries * 10_000
    share = settings.first_share / 2 ** sum(place > limit for limit in HALVED_AT)
    return max(1, min(round((share * height * width) ** 0.5), height - 1, width - 1))


def _with_squares(start: Tensor, best: Tensor, epsilon: float, side: int, generator: torch.Generator) -> Tensor:
    """Return the best images so far, with one square of each changed by epsilon, up or down in each channel."""
    count, channels, height, width = start.shape
    top, left = (
        torch.randint(0, limit - side + 1, (count, 1), generator=generator).to(start.device)
        for limit in (height, width)
    )
    rows, columns = (torch.arange(limit, device=start.device).unsqueeze(0) for limit in (height, width))
    inside = ((rows >= top) & (rows < top + side)).unsqueeze(2) & ((columns >= left) & (columns < left + side))[:, None]
    changed = (start + epsilon * _signs((count, channels, 1, 1), generator, start.device)).clamp(0, 1)
    return torch.where(inside.unsqueeze(1), changed, best)


def _signs(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).to(device) * 2.0 - 1
