"""Augmentation of whole batches equals what torchvision does to one image at a time."""

import math

import pytest
import torch
from torchvision.transforms import InterpolationMode, RandomAffine
from torchvision.transforms import functional as TF

from mnist_zoo.data.augment import DRAWS, PRESETS, Augment
from mnist_zoo.data.filters import apply_filters
from mnist_zoo.errors import InputError

HALF = 0.5  # the draw that leaves an angle, a shift or a scale at its centre


def draws(count: int = 1, **changes: float) -> torch.Tensor:
    names = ("angle", "shift_x", "shift_y", "zoom", "mirror_x", "mirror_y", "chosen", "area", "aspect", "left", "top")
    assert len(names) == DRAWS
    row = torch.full((DRAWS,), HALF)
    for name, value in changes.items():
        row[names.index(name)] = value
    return row.repeat(count, 1)


@pytest.mark.parametrize("angle", [-20.0, 0.0, 7.5])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_one_image_moves_as_torchvision_moves_it(angle, shift, scale):
    augment = Augment(rotate=30, shift=0.25, zoom=0.3)
    image = torch.rand(1, 1, 28, 28)
    to_draw = {
        "angle": (angle / 30 + 1) / 2,
        "shift_x": (shift[0] / (0.25 * 28) + 1) / 2,
        "shift_y": (shift[1] / (0.25 * 28) + 1) / 2,
        "zoom": ((scale - 1) / 0.3 + 1) / 2,
    }
    ours = augment(image, draws(**to_draw))
    theirs = TF.affine(image, angle, list(shift), scale, [0.0, 0.0], InterpolationMode.BILINEAR)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_parameters_have_the_distribution_of_torchvisions_random_affine():
    count, augment = 20_000, Augment(rotate=10, shift=0.1, zoom=0.1)
    matrix = augment._inverse_affine(*torch.rand(count, DRAWS).unbind(1)[:6], (28, 28))
    linear, offset = matrix[:, :, :2], matrix[:, :, 2:]
    ours = {
        "angle": torch.rad2deg(torch.atan2(linear[:, 0, 1], linear[:, 0, 0])),
        "shift": -(torch.linalg.inv(linear) @ offset)[:, 0, 0] * 14,  # where the image's centre goes, in pixels
        "scale": torch.linalg.det(linear) ** -0.5,
    }
    drawn = [RandomAffine.get_params([-10, 10], [0.1, 0.1], [0.9, 1.1], None, [28, 28]) for _ in range(count)]
    theirs = {
        "angle": torch.tensor([angle for angle, *_ in drawn]),
        "shift": torch.tensor([float(shift[0]) for _, shift, *_ in drawn]),
        "scale": torch.tensor([scale for _, _, scale, _ in drawn]),
    }
    quantiles = torch.linspace(0.02, 0.98, 25)
    for name, tolerance in (("angle", 0.4), ("scale", 0.004)):
        assert (ours[name].quantile(quantiles) - theirs[name].quantile(quantiles)).abs().max() < tolerance, name
    assert torch.allclose(ours["shift"], ours["shift"].round(), atol=1e-3), "whole pixels"
    for pixels in range(-4, 5):
        share, expected = ((x["shift"].round() == pixels).float().mean() for x in (ours, theirs))
        assert abs(share - expected) < 0.02, pixels


def test_every_image_has_its_own_parameters():
    image = torch.rand(1, 1, 28, 28).expand(64, -1, -1, -1)
    moved = Augment(**PRESETS["affine"])(image, torch.rand(64, DRAWS))
    assert len({tuple(m.flatten().tolist()) for m in moved}) == 64


@pytest.mark.parametrize(
    ("augment", "change", "expected"),
    [
        (Augment(flip_horizontal=True), {"mirror_x": 0.2}, lambda x: x.flip(-1)),
        (Augment(flip_horizontal=True), {"mirror_x": 0.7}, lambda x: x),
        (Augment(flip_vertical=True), {"mirror_y": 0.2}, lambda x: x.flip(-2)),
        (Augment(flip_horizontal=True, flip_vertical=True), {"mirror_x": 0, "mirror_y": 0}, lambda x: x.flip(-1, -2)),
    ],
)
def test_flips_mirror_half_of_the_images(augment, change, expected):
    image = torch.rand(1, 1, 28, 28)
    assert torch.allclose(augment(image, draws(**change)), expected(image), atol=1e-5)


def test_fill_decides_what_comes_in_from_outside():
    image, right = torch.ones(1, 1, 28, 28), draws(shift_x=1.0)
    assert Augment(shift=0.25)(image, right)[0, 0, 10, :7].sum() == 0
    assert Augment(shift=0.25, fill="nearest")(image, right).min() == 1


def test_erasing_blackens_a_rectangle_of_2_to_20_percent_in_the_chosen_share_of_images():
    images = torch.ones(4000, 1, 28, 28)
    erased = Augment(erase=0.3)(images, torch.rand(4000, DRAWS))
    share = 1 - erased.mean(dim=(1, 2, 3))
    assert (share > 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    hit = share[share > 0]
    assert hit.min() > 0.01 and hit.max() < 0.24 and hit.mean().item() == pytest.approx(0.11, abs=0.01)
    box = erased[share > 0][0, 0] == 0
    rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
    assert box.sum() == len(rows) * len(columns), "one solid rectangle"


def test_nothing_asked_for_changes_nothing():
    assert not Augment() and not Augment.from_config("none")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("afine", "unknown augmentation 'afine'; did you mean affine"),
        ({"rotat": 3}, "unknown augment setting 'rotat'; did you mean rotate"),
        ({"rotate": -1}, "augment.rotate=-1 is outside 0-180"),
        ({"fill": "mirror"}, "unknown augment.fill 'mirror'"),
    ],
)
def test_bad_settings_are_named(wrong, message):
    with pytest.raises(InputError, match=message):
        Augment.from_config(wrong)


def test_blur_and_sharpen_are_the_thesis_kernels_with_black_outside():
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2] = 160
    blurred = apply_filters(image, blur=1)[0, 0]
    assert blurred[1:4, 1:4].tolist() == [[10, 20, 10], [20, 40, 20], [10, 20, 10]]
    corner = torch.full((1, 1, 3, 3), 160, dtype=torch.uint8)
    assert apply_filters(corner, blur=1)[0, 0, 0, 0] == 160 * 9 / 16
    assert apply_filters(image, sharpen=True)[0, 0, 2].tolist() == [0, 0, 255, 0, 0], "clipped to 0-255"
    assert math.isclose(apply_filters(image, blur=5).sum().item(), 160, rel_tol=0.3), "five blurs spread it"
    assert apply_filters(image) is image
