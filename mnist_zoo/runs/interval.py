"""How exactly a number of images determines an accuracy."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


def wilson_interval(correct: int, images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy (a fraction) for random images (Wilson 1927).

    Args:
        correct: number of images that were classified correctly.
        images: number of images; without any, the accuracy may be anything from 0 to 1.
        confidence: share of such intervals that contain the accuracy on all images of this kind.
    """
    if images == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    middle = share + z * z / (2 * images)
    half = z * sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    low, high = (middle - half) / scale, (middle + half) / scale
    return (0.0 if correct == 0 else low), (1.0 if correct == images else high)


def interval_text(accuracy: float, images: int) -> str:
    """Return the interval of an accuracy (a fraction) as text, such as ``0.9234 - 0.9702``."""
    low, high = wilson_interval(round(accuracy * images), images)
    return f"{low:.4f} - {high:.4f}"
