"""Augmentation of whole batches on the device that trains; each image has its own random parameters.

torchvision's random transforms draw one set of parameters a call, so they would have to be called once for each image
(`python -m benchmarks augment` compares the speed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.data import deform
from mnist_zoo.data.arguments import require_bool, require_number
from mnist_zoo.data.augmentations import AUGMENTATIONS, PRESETS, NamedAugmentation
from mnist_zoo.errors import InputError, unknown

# Uniform random numbers for one image, in this order: angle, shift x, shift y, zoom, mirror x, mirror y; for erasing:
# whether, area, aspect ratio, left, top. Then the seed of the elastic displacement, stroke width, blur, five of the
# background, and seed and amount of the noise. Then the number from which the mask follows.
MOVING, DEFORMING, MASKING = 11, 10, 1
FILLS = {"zeros": "zeros", "nearest": "border"}  # this module's names, and those of grid_sample
ERASED_AREA = (0.02, 0.20)  # share of the image
ERASED_ASPECT = (0.3, 3.3)  # height / width


@dataclass(frozen=True)
class Augment:
    """Random changes of images. The default changes nothing.

    The order is stroke; rotate and zoom, shift, mirror, elastic, which resample the image once; blur, background,
    noise, erase, mask. Rotation and zoom keep the image's centre in place. `mnist_zoo.data.deform` describes stroke,
    elastic, blur, background and noise.

    Attributes:
        rotate: degrees. The angle is uniform in -rotate..rotate; positive angles are clockwise, as in torchvision.
        shift: share of the image's side. The shift is uniform in -shift..shift on each axis, rounded to whole pixels,
            as in torchvision's ``RandomAffine``.
        zoom: the scale is uniform in 1-zoom..1+zoom, the same on both axes.
        flip_horizontal, flip_vertical: mirror each image with probability 0.5. Mirrored digits are no longer digits;
            the settings exist for a recipe of the `digits_fashion` thesis.
        erase: probability that a rectangle of 2-20 % of the area, with aspect ratio 0.3-3.3, becomes black (random
            erasing: Zhong et al. 2020; the rectangle always lies inside the image).
        mask: probability with which each value of an image becomes black, whatever the others do (feature masking:
            Ingle and Pawale 2024).
        fill: pixels from outside the image: ``zeros``, or ``nearest`` for the nearest edge pixel.
        elastic: standard deviation of a smooth random displacement of the pixels, share of the image's side (Simard et
            al. 2003; their strength is 0.05).
        stroke: pixels. Each side of the strokes becomes up to this much wider or thinner.
        blur: pixels. The standard deviation of the Gaussian is uniform in 0..blur.
        background: share of white. Uneven light adds up to this much to the black paper, and in half of the images
            ruled lines.
        noise: share of white. The standard deviation of the pixels' noise is uniform in 0..noise.
        then: a registered augmentation, which `Batches` applies afterwards, batch by batch; None for no other one.

    Raises:
        InputError: if a value is out of range, or `fill` is unknown.
    """

    rotate: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    erase: float = 0.0
    fill: str = "zeros"
    elastic: float = 0.0
    stroke: float = 0.0
    blur: float = 0.0
    background: float = 0.0
    noise: float = 0.0
    mask: float = 0.0
    then: NamedAugmentation | None = None

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise unknown("augment.fill", self.fill, FILLS)
        for name, high in LARGEST.items():
            require_number(f"augment.{name}", getattr(self, name), 0, high)
        require_number("augment.mask", self.mask, 0, 1)
        if self.mask == 1:
            raise InputError("augment.mask=1: it must be below 1, else nothing is left")
        for name in ("flip_horizontal", "flip_vertical"):
            require_bool(f"augment.{name}", getattr(self, name))

    @classmethod
    def from_config(cls, config: str | Mapping[str, Any] | None) -> Augment:
        """Return the augmentation of a configuration.

        Args:
            config: the name of a preset or of a registered augmentation, a mapping of the attributes above, also with
                the ``name`` of a registered augmentation and its options, or None for no augmentation.

        Raises:
            InputError: unknown name, attribute or option, or a value out of range.
        """
        if config is None:
            return cls()
        if not isinstance(config, (str, Mapping)):
            raise InputError(
                f"augment={config}: it must be {', '.join(PRESETS)}, or a mapping such as {{'rotate': 10}}"
            )
        if isinstance(config, str):
            if config not in PRESETS and config not in AUGMENTATIONS:
                raise unknown("augmentation", config, [*PRESETS, *AUGMENTATIONS])
            config = PRESETS.get(config, {"name": config})
        names = [field.name for field in fields(cls) if field.name != "then"]
        own = {key: value for key, value in config.items() if key in names}
        others = {key: value for key, value in config.items() if key not in own}
        if "name" in others:
            name = others.pop("name")
            for taken in {*names, "name"} & {*AUGMENTATIONS.parameters(name)}:
                raise InputError(
                    f"augmentation '{name}' has a parameter {taken}, which is a setting of every augmentation: its "
                    f"values would never reach it; rename the parameter"
                )
            return cls(**own, then=NamedAugmentation(name, AUGMENTATIONS.defaults(name) | others))
        for name in others:
            raise unknown("augment setting", name, [*names, "name"])
        return cls(**own)

    @property
    def moves(self) -> bool:
        """Whether pixels change their place: then images are resampled."""
        flips = self.flip_horizontal or self.flip_vertical
        return bool(self.rotate or self.shift or self.zoom or self.elastic or flips)

    @property
    def deforms(self) -> bool:
        """Whether a setting of `mnist_zoo.data.deform` is on."""
        return any(getattr(self, name) > 0 for name in ("elastic", "stroke", "blur", "background", "noise"))

    def __bool__(self) -> bool:
        """Whether calling this object changes images."""
        return self.moves or self.deforms or self.erase > 0 or self.mask > 0

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the random numbers of `count` images for a call, float ``(count, 22)``.

        Each setting has numbers of its own: switching another one on does not change them. The mask is the exception:
        its numbers are others with the settings of `mnist_zoo.data.deform`.
        """
        # In parts, so that the numbers of older settings are those of versions that did not have the newer ones.
        moving = torch.rand(count, MOVING, generator=generator)
        deforming = torch.rand(count, DEFORMING, generator=generator) if self.deforms else torch.zeros(count, DEFORMING)
        return torch.cat([moving, deforming, torch.rand(count, MASKING, generator=generator)], 1)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return augmented images.

        Args:
            images: float ``(N, C, H, W)``, where black is 0. They are not changed.
            draws: random numbers for each image, float ``(N, 22)``, uniform in [0, 1), on the same device.

        Returns:
            float ``(N, C, H, W)``; `images` itself if no setting is on.
        """
        size = (images.shape[-2], images.shape[-1])
        moving, deforming, (mask,) = (part.unbind(1) for part in draws.split((MOVING, DEFORMING, MASKING), 1))
        angle, shift_x, shift_y, zoom, mirror_x, mirror_y, *erasing = moving
        bend, stroke, blur, *background, noise, noise_level = deforming
        if self.stroke:
            images = deform.change_stroke(images, stroke, self.stroke)
        if self.moves:
            matrix = self._inverse_affine(angle, shift_x, shift_y, zoom, mirror_x, mirror_y, size)
            grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
            if self.elastic:
                grid = grid + deform.displacement(bend, size, self.elastic)
            images = F.grid_sample(images, grid, "bilinear", FILLS[self.fill], align_corners=False)
        if self.blur:
            images = deform.blur(images, blur, self.blur)
        if self.background:
            images = deform.add_background(images, torch.stack(background, 1), self.background)
        if self.noise:
            images = deform.add_noise(images, noise, noise_level, self.noise)
        if self.erase:
            chosen, area, aspect, left, top = erasing
            images = images.masked_fill(self._erased(chosen, area, aspect, left, top, size), 0.0)
        if self.mask:
            values = deform.uniform_field(mask, images[0].numel()).view(images.shape)
            images = images.masked_fill(values < self.mask, 0.0)
        return images

    def _inverse_affine(
        self,
        angle: Tensor,
        shift_x: Tensor,
        shift_y: Tensor,
        zoom: Tensor,
        mirror_x: Tensor,
        mirror_y: Tensor,
        size: tuple[int, int],
    ) -> Tensor:
        """Return the matrices ``(N, 2, 3)`` that map output to input coordinates, as `affine_grid` takes them.

        The arguments are uniform in [0, 1), ``(N,)``; `size` is ``(H, W)``. Coordinates x, y are -1..1 from edge to
        edge of the image. A pixel is therefore 2/W wide and 2/H high, and a rotation needs the factors H/W and W/H.
        """
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

    def _erased(
        self, chosen: Tensor, area: Tensor, aspect: Tensor, left: Tensor, top: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return a mask, bool ``(N, 1, H, W)``: true inside the rectangles of the chosen images.

        The arguments are uniform in [0, 1), ``(N,)``; `size` is ``(H, W)``. The aspect ratio is uniform in its
        logarithm, so that tall and wide rectangles are equally frequent. A pixel is erased if its centre is inside.
        """
        height, width = size
        smallest, largest = ERASED_AREA
        area = (smallest + (largest - smallest) * area) * (height * width)
        flattest, tallest = (math.log(limit) for limit in ERASED_ASPECT)
        aspect = torch.exp(flattest + (tallest - flattest) * aspect)
        tall, wide = (area * aspect).sqrt().clamp(max=height), (area / aspect).sqrt().clamp(max=width)
        rows = _span(top, tall, height) & (chosen < self.erase).unsqueeze(1)
        return (rows.unsqueeze(2) & _span(left, wide, width).unsqueeze(1)).unsqueeze(1)


def _span(position: Tensor, length: Tensor, side: int) -> Tensor:
    """Return bool ``(N, side)``: which pixels an interval of `length` covers; `position` 0-1 places it in the side."""
    centres = torch.arange(side, device=position.device) + 0.5
    start = (position * (side - length)).unsqueeze(1)
    return (centres >= start) & (centres < start + length.unsqueeze(1))


# Largest values of the settings that are numbers.
LARGEST = {
    **{"rotate": 180.0, "shift": 1.0, "zoom": 0.99, "erase": 1.0, "elastic": 0.5, "stroke": 5.0, "blur": 20.0},
    **{"background": 1.0, "noise": 1.0},
}
