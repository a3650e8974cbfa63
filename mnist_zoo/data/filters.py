"""The preprocessing filters of the `digits_fashion` thesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.data.arguments import require_bool, require_integer
from mnist_zoo.errors import InputError, unknown

BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
SHARPEN = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])
CHUNK = 4096 * 28 * 28  # pixels filtered at once; as float32 they take 13 MB
MOST_BLUR = 100  # after which an image of 28x28 is a shadow


def check_filters(filters: Mapping[str, Any]) -> None:
    """Raise InputError unless the filters are arguments of `apply_filters`."""
    if not isinstance(filters, Mapping):
        raise InputError(f"filters={filters}: it must be a mapping, such as {{'blur': 5, 'sharpen': True}}")
    for name in filters:
        if name not in ("blur", "sharpen"):
            raise unknown("filter", name, ("blur", "sharpen"))
    require_integer("filters.blur", filters.get("blur", 0), 0, MOST_BLUR)
    require_bool("filters.sharpen", filters.get("sharpen", False))


def apply_filters(images: Tensor, *, blur: int = 0, sharpen: bool = False) -> Tensor:
    """Blur images `blur` times, then sharpen them once if `sharpen` is set. Images are padded with black.

    Args:
        images: uint8 ``(N, C, H, W)``.
        blur: number of times that the binomial 3x3 kernel is applied (5 in the thesis).
        sharpen: whether the 3x3 sharpening kernel is applied.

    Returns:
        uint8 ``(N, C, H, W)``. Values are rounded once, after the last filter, and clipped to 0-255. Without filters
        the input itself is returned.
    """
    kernels = [BLUR] * blur + [SHARPEN] * bool(sharpen)
    if not kernels:
        return images
    parts = []
    for part in images.split(max(1, CHUNK // images[0].numel())):
        planes = part.float().flatten(0, 1).unsqueeze(1)  # (N * C, 1, H, W): every channel is filtered on its own
        for kernel in kernels:
            planes = F.conv2d(planes, kernel.expand(1, 1, 3, 3), padding=1)
        parts.append(planes.round_().clamp_(0, 255).to(torch.uint8).view(part.shape))
    return torch.cat(parts)
