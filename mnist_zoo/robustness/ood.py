"""Whether a network notices images that are of none of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from mnist_zoo.confidence import certainty
from mnist_zoo.data.filters import apply_filters
from mnist_zoo.errors import InputError, unknown
from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.registry import Outcome, Progress, Settings, register_test
from mnist_zoo.robustness.strangers import MADE, OTHERS, strangers
from mnist_zoo.robustness.subject import Subject

ACCEPTED = 0.95  # share of the known images that a threshold must accept
SCORES = ("max_probability", "energy", "entropy", "disagreement")


@dataclass(frozen=True)
class OodSettings(Settings):
    """What the test on images of no class can be told.

    Attributes:
        sets: which kinds of images. None: ``noise``, ``blank``, ``quarter_turns`` and ``two_digits``, which are made
            here, and the other data sets that are on disk.

    Raises:
        InputError: for an unknown kind, or none.
    """

    sets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sets is None:
            return
        if not isinstance(self.sets, tuple) or not self.sets:
            raise InputError(f"sets={self.sets}: it must be a list, such as [noise,fashion_mnist]")
        for name in self.sets:
            if name not in (*MADE, *OTHERS):
                raise unknown("kind of images", name, (*MADE, *OTHERS))


def _summary(values: Mapping[str, Any]) -> str:
    shown = [
        f"{score.replace('_', ' ')} {values['mean'][score]['auroc']:.4f}" for score in SCORES if score in values["mean"]
    ]
    return f"mean AUROC over {', '.join(values['sets'])}: {', '.join(shown)}"


def _with_kinds(settings: OodSettings, images: Images) -> OodSettings:
    """Return settings that name the kinds of images: which there are depends on the files on disk."""
    if settings.sets is not None:
        return settings
    pixels, _ = images.split(settings.split, 1)
    return replace(settings, sets=tuple(strangers(pixels, images, None, settings.seed)))


@register_test("ood", _summary, OodSettings, complete=_with_kinds)
def measure_ood(subject: Subject, images: Images, settings: OodSettings, progress: Progress) -> Outcome:
    """Measure how well four scores tell known images from images of no class (see `strangers`).

    The scores, higher for known images: the maximum probability; the energy, ``logsumexp`` of the logits (Liu et al.
    2020, without a temperature), for an ensemble the mean over its members; minus the entropy of the probabilities;
    and, for an ensemble, minus the mutual information of class and member, which is its members' disagreement.

    Returns:
        Values ``sets``: for each kind of images, for each score, ``auroc`` (the probability that a known image has the
        higher score; ties count half) and ``fpr95`` (the share of strangers above the threshold that accepts 95 % of
        the known images); ``mean`` over the kinds; and ``images``, the number of strangers of each kind.
    """
    pixels, _ = images.split(settings.split, settings.images)
    kinds = strangers(pixels, images, settings.sets, settings.seed)
    known = score_images(subject, pixels)
    measured, counts = {}, {}
    for number, (kind, others) in enumerate(kinds.items(), 1):
        progress(number / (len(kinds) + 1))
        if kind in OTHERS:
            others = apply_filters(others, **images.filters)
        strange = score_images(subject, others)
        counts[kind] = len(others)
        measured[kind] = {
            score: {"auroc": auroc(known[score], strange[score]), "fpr95": fpr_at(known[score], strange[score])}
            for score in known
        }
    mean = {
        score: {key: float(np.mean([each[score][key] for each in measured.values()])) for key in ("auroc", "fpr95")}
        for score in known
    }
    return Outcome({"sets": measured, "mean": mean, "images": counts})


def score_images(subject: Subject, pixels: Tensor) -> dict[str, np.ndarray]:
    """Return the scores of images, float64 ``(N,)`` by name; higher means more like the training images.

    Args:
        subject: a network or an ensemble.
        pixels: uint8 ``(N, C, H, W)``.
    """
    networks = subject.members or (subject.network,)
    parts = []
    for _, batch, _ in in_batches(pixels, torch.zeros(len(pixels), dtype=torch.int64), subject.device):
        with torch.inference_mode():
            parts.append(torch.stack([network(batch) for network in networks]).cpu())
    return uncertainty(torch.cat(parts, dim=1).numpy())


def uncertainty(logits: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of `SCORES`, float64 ``(N,)`` each, from the members' logits ``(M, N, C)``.

    ``disagreement`` is there for several members only.
    """
    logits = logits.astype(np.float64)
    logs = special.log_softmax(logits, axis=2)
    mean = special.logsumexp(logs, axis=0) - np.log(len(logs))
    of_mean = special.entr(np.exp(mean)).sum(axis=1)
    scores = {
        "max_probability": certainty(mean),
        "energy": special.logsumexp(logits, axis=2).mean(axis=0),
        "entropy": -of_mean,
    }
    if len(logits) > 1:
        scores["disagreement"] = special.entr(np.exp(logs)).sum(axis=2).mean(axis=0) - of_mean
    return scores


def auroc(known: np.ndarray, strange: np.ndarray) -> float:
    """Return the area under the ROC curve: the probability that a known image has the higher score; ties count half."""
    ranks = stats.rankdata(np.concatenate([known, strange]))[: len(known)]
    pairs = len(known) * len(strange)
    return float((ranks.sum() - len(known) * (len(known) + 1) / 2) / pairs)


def fpr_at(known: np.ndarray, strange: np.ndarray, accepted: float = ACCEPTED) -> float:
    """Return the share of strangers above the highest threshold that accepts this share of the known images."""
    refused = int((1 - accepted) * len(known) + 1e-9)
    threshold = np.partition(known, refused)[refused]
    return float((strange >= threshold).mean())
