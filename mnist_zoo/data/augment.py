"""Augmentation of whole batches: every image with its own random parameters, on the device that trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.errors import InputError, unknown

DRAWS = 11  # uniform random numbers that one image uses
FILLS = {"zeros": "zeros", "nearest": "border"}  # our names to grid_sample's


@dataclass(frozen=True)
class Augment:
    """Random changes to images; the default changes nothing.

    Attributes:
        rotate: degrees; the angle is uniform in +-rotate.
        shift: share of the side; whole pixels, uniform in +-shift * side along each axis (as torchvision's
            ``RandomAffine``).
        zoom: the scale is uniform in 1 +- zoom, the same along both axes.
        flip_horizontal, flip_vertical: mirror half of the images. Flips corrupt digits: a recipe of the thesis only.
        erase: probability that a rectangle of 2-20 % of the area and aspect 0.3-3.3 is blackened (Zhong et al. 2020).
        fill: what comes in from outside: ``zeros``, or ``nearest`` for the nearest edge pixel.
    """

    rotate: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    erase: float = 0.0
    fill: str = "zeros"

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise unknown("augment.fill", self.fill, FILLS)
        for name, low, high in (("rotate", 0, 180), ("shift", 0, 1), ("zoom", 0, 0.99), ("erase", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"augment.{name}={getattr(self, name)} is outside {low}-{high}")

    @classmethod
    def from_config(cls, config: str | dict | None) -> Augment:
        """Build from a preset's name, a dict of the attributes above, or None for no augmentation.

        Raises:
            InputError: unknown preset or attribute, or a value out of range.
        """
        if config is None:
            return cls()
        if isinstance(config, str):
            if config not in PRESETS:
                raise unknown("augmentation", config, PRESETS)
            return cls(**PRESETS[config])
        names = [field.name for field in fields(cls)]
        for name in config:
            if name not in names:
                raise unknown("augment setting", name, names)
        return cls(**config)

    @property
    def moves(self) -> bool:
        """Whether pixels are resampled."""
        return bool(self.rotate or self.shift or self.zoom or self.flip_horizontal or self.flip_vertical)

    def __bool__(self) -> bool:
        return self.moves or self.erase > 0

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return changed copies of `images` (float ``(N, C, H, W)``, black is 0) from `draws`, uniform ``(N, 11)``."""
        angle, shift_x, shift_y, zoom, mirror_x, mirror_y, *erasing = draws.unbind(1)
        if self.moves:
            matrix = self._inverse_affine(angle, shift_x, shift_y, zoom, mirror_x, mirror_y, images.shape[-2:])
            grid = F.affine_grid(matrix, images.shape, align_corners=False)
            images = F.grid_sample(images, grid, "bilinear", FILLS[self.fill], align_corners=False)
        if self.erase:
            images = images.masked_fill(self._erased(*erasing, images.shape[-2:]), 0.0)
        return images

    def _inverse_affine(self, angle, shift_x, shift_y, zoom, mirror_x, mirror_y, size) -> Tensor:
        """Return ``(N, 2, 3)``: from where in the input (coordinates -1..1) each output pixel comes."""
        height, width = size
        angle = (2 * angle - 1) * math.radians(self.rotate)
        shift_x = ((2 * shift_x - 1) * self.shift * width).round() * (2 / width)
        shift_y = ((2 * shift_y - 1) * self.shift * height).round() * (2 / height)
        scale = 1 + (2 * zoom - 1) * self.zoom
        cos, sin = angle.cos() / scale, angle.sin() / scale
        xx, xy, yx, yy = cos, sin * (height / width), -sin * (width / height), cos
        tx, ty = -(xx * shift_x + xy * shift_y), -(yx * shift_x + yy * shift_y)
        if self.flip_horizontal:
            sign = torch.where(mirror_x < 0.5, -1.0, 1.0)
            xx, yx = xx * sign, yx * sign
        if self.flip_vertical:
            sign = torch.where(mirror_y < 0.5, -1.0, 1.0)
            xy, yy = xy * sign, yy * sign
        return torch.stack([xx, xy, tx, yx, yy, ty], dim=1).view(-1, 2, 3)

    def _erased(self, chosen, area, aspect, left, top, size) -> Tensor:
        """Return bool ``(N, 1, H, W)``, true inside each chosen image's rectangle."""
        height, width = size
        area = (0.02 + 0.18 * area) * (height * width)
        aspect = torch.exp(math.log(0.3) + (math.log(3.3) - math.log(0.3)) * aspect)
        tall, wide = (area * aspect).sqrt().clamp(max=height), (area / aspect).sqrt().clamp(max=width)

        def span(start, length, side):  # (N, side): true where a pixel's centre lies inside
            centres = torch.arange(side, device=start.device) + 0.5
            start = (start * (side - length)).unsqueeze(1)
            return (centres >= start) & (centres < start + length.unsqueeze(1))

        rows = span(top, tall, height) & (chosen < self.erase).unsqueeze(1)
        return (rows.unsqueeze(2) & span(left, wide, width).unsqueeze(1)).unsqueeze(1)


PRESETS: dict[str, dict] = {
    "none": {},
    "affine": {"rotate": 10.0, "shift": 0.1, "zoom": 0.1},
    "thesis": {
        "rotate": 8.0,
        "shift": 0.1,
        "zoom": 0.2,
        "flip_horizontal": True,
        "flip_vertical": True,
        "fill": "nearest",
    },
}
