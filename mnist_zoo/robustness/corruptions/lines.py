"""Corruptions that draw a bright line across the image: dotted line and zigzag."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist_zoo.robustness.corruptions.blur import unit
from mnist_zoo.robustness.corruptions.draws import Draws

HALF_WIDTH = 2.3  # pixels of 28: the brightness is 1 + log(1 - distance / 2.3), which is 0 at 1.45 pixels
DOT = 2  # pixels of 28: length of the dots and of the gaps
WAVE, TILT, MARGIN = 2.0, 5, 2  # pixels of 28: height of the zigzag, rise of its line, distance from the sides
RISE = 25 - MARGIN  # pixels of 28 over which the line rises


def dotted_line(images: Tensor, draws: Draws) -> Tensor:
    """Draw a dotted line from a random height at the left side to one at the right side."""
    height, width = images.shape[-2:]
    size = unit(images)
    ends = draws.integers(0, 26, 2) * (height / 28)
    rows, columns = _places(images)
    middle = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * (columns / max(width - 1, 1))  # (B, W)
    line = _brightness(rows.unsqueeze(1) - middle.unsqueeze(1), size)
    shown = (columns / size).floor() // DOT % 2 == 1
    return _draw(images, line * shown)


def zigzag(images: Tensor, draws: Draws) -> Tensor:
    """Draw a zigzag of 2 pixels to each side along a line that rises by up to 5 pixels.

    Its corners are 4 pixels apart, as in the paper. The paper's code draws one straight line after another. Ours
    measures the distance across the line to one triangle wave.
    """
    size = unit(images)
    start = draws.integers(0, 26) * (images.shape[-2] / 28)
    slope = torch.atan(draws.integers(-TILT, TILT - 1) / RISE)
    rows, columns = _places(images)
    x = (columns - MARGIN * size).view(1, 1, -1)
    y = rows.view(1, -1, 1) - start.view(-1, 1, 1)
    cosine, sine = slope.cos().view(-1, 1, 1), slope.sin().view(-1, 1, 1)
    along, across = x * cosine + y * sine, y * cosine - x * sine
    phase = torch.remainder(along / (WAVE * size), 4)  # 0: through the line, 1: top, 2: through the line, 3: bottom
    wave = 1 - (torch.remainder(phase + 1, 4) - 2).abs()
    inside = (along >= 0) & (along <= RISE * size / cosine)
    return _draw(images, _brightness(across - WAVE * size * wave, size) * inside)


def _places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows ``(H,)`` and the columns ``(W,)`` as float32 numbers."""
    height, width = images.shape[-2:]
    rows, columns = (torch.arange(side, dtype=torch.float32, device=images.device) for side in (height, width))
    return rows, columns


def _brightness(distance: Tensor, size: float) -> Tensor:
    """Return the brightness 0 to 1 at this distance in pixels from the middle of a line."""
    near = (1 - distance.abs() / (HALF_WIDTH * size)).clamp(min=1e-6)
    return (1 + near.log()).clamp(0, 1)


def _draw(images: Tensor, line: Tensor) -> Tensor:
    """Add a line ``(B, H, W)`` to all channels."""
    return (images + line.unsqueeze(1)).clamp(max=1.0)
