"""Preprocessing filters: those of the `digits_fashion` thesis, and the width of Ciresan et al. 2012."""

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
FILTERS = ("blur", "sharpen", "width")
MOST_WIDTH = 1024  # pixels
MOST_BLUR = 100  # after which an image of 28x28 is a shadow


def check_filters(filters: Mapping[str, Any]) -> None:
    """Raise InputError unless the filters are arguments of `apply_filters`."""
    if not isinstance(filters, Mapping):
        raise InputError(f"filters={filters}: it must be a mapping, such as {{'blur': 5, 'sharpen': True}}")
    for name in filters:
        if name not in FILTERS:
            raise unknown("filter", name, FILTERS)
    require_integer("filters.blur", filters.get("blur", 0), 0, MOST_BLUR)
    require_bool("filters.sharpen", filters.get("sharpen", False))
    if filters.get("width") is not None:
        require_integer("filters.width", filters["width"], 1, MOST_WIDTH)


def apply_filters(images: Tensor, *, blur: int = 0, sharpen: bool = False, width: int | None = None) -> Tensor:
    """Set the width of what is drawn, blur images `blur` times, then sharpen them once if `sharpen` is set.

    Images are padded with black.

    Args:
        images: uint8 ``(N, C, H, W)``.
        width: pixels between the first and the last column that is not black (see `set_width`); None keeps it.
        blur: number of times that the binomial 3x3 kernel is applied (5 in the thesis).
        sharpen: whether the 3x3 sharpening kernel is applied.

    Returns:
        uint8 ``(N, C, H, W)``. Values are rounded after `width` and after the last filter, and clipped to 0-255.
        Without filters the input itself is returned.

    Raises:
        InputError: if the images have fewer columns than `width`.
    """
    if width is not None:
        if width > images.shape[3]:
            raise InputError(f"filters.width={width}: it must be at most {images.shape[3]}, the width of the images")
        images = torch.cat([set_width(part, width) for part in images.split(max(1, CHUNK // images[0].numel()))])
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


def set_width(images: Tensor, width: int) -> Tensor:
    """Stretch or compress each image horizontally, so that what is drawn has this width, in the middle of the image.

    Source: Ciresan et al. 2012, section 3.1: the width of the bounding box is normalised; heights stay. Pixels are
    interpolated linearly. A black image stays black.

    Args:
        images: uint8 ``(N, C, H, W)``.
        width: of the bounding box, pixels.

    Returns:
        uint8 ``(N, C, H, W)``.
    """
    columns = images.amax((1, 2)) > 0  # (N, W)
    side = columns.shape[1]
    first = columns.int().argmax(1)  # of the first maximum
    last = side - 1 - columns.flip(1).int().argmax(1)
    places = torch.arange(side) - (side - 1) / 2  # from the middle of the image
    source = ((first + last) / 2)[:, None] + places * ((last - first + 1) / width)[:, None]  # (N, W), columns
    left = source.floor()
    share = source - left
    padded = F.pad(images, (1, 1)).float()  # black beyond the border
    picked = []
    for column in (left, left + 1):
        index = (column.clamp(-1, side) + 1).long()[:, None, None, :].expand(*images.shape[:3], -1)
        picked.append(padded.gather(3, index))
    mixed = picked[0] + (picked[1] - picked[0]) * share[:, None, None, :]
    return mixed.round_().clamp_(0, 255).to(torch.uint8)
