"""Augmentation of whole batches equals torchvision's and SciPy's of single images; filters are those of the thesis."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms import InterpolationMode, RandomAffine
from torchvision.transforms import functional as TF

from mnist_zoo.data import deform, filters
from mnist_zoo.data.augment import DEFORMING, MASKING, MOVING, PRESETS, Augment
from mnist_zoo.data.filters import apply_filters, set_width
from mnist_zoo.errors import InputError

DRAWS = MOVING + DEFORMING + MASKING  # random numbers for an image
HALF = 0.5  # the random number that gives angle 0, shift 0 and scale 1


def draws(count: int = 1, **changes: float) -> torch.Tensor:
    """Return the random numbers of `count` images: `HALF`, except for the named ones."""
    names = ("angle", "shift_x", "shift_y", "zoom", "mirror_x", "mirror_y", "chosen", "area", "aspect", "left", "top")
    names += ("bend", "stroke", "blur", "light", "direction", "lined", "ink", "distance", "noise", "noise_level")
    names += ("mask",)
    assert len(names) == DRAWS
    row = torch.full((DRAWS,), HALF)
    for name, value in changes.items():
        row[names.index(name)] = value
    return row.repeat(count, 1)


@pytest.mark.parametrize("angle", [-20.0, 0.0, 7.5])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_one_image_moves_as_in_torchvision(angle, shift, scale):
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


def test_parameters_are_distributed_as_in_torchvisions_random_affine():
    count, augment = 20_000, Augment(rotate=10, shift=0.1, zoom=0.1)
    matrix = augment._inverse_affine(*torch.rand(count, DRAWS).unbind(1)[:6], (28, 28))
    linear, offset = matrix[:, :, :2], matrix[:, :, 2:]
    ours = {
        "angle": torch.rad2deg(torch.atan2(linear[:, 0, 1], linear[:, 0, 0])),
        "shift": -(torch.linalg.inv(linear) @ offset)[:, 0, 0] * 14,  # of the image's centre, in pixels
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


SINGLE = [{name: value} for name, value in PRESETS["photo"].items() if name not in ("rotate", "shift", "zoom")]


@pytest.mark.parametrize("settings", [PRESETS["affine"], PRESETS["photo"], *SINGLE])
def test_every_image_has_its_own_parameters_and_equal_numbers_give_equal_images(settings):
    image = 255 * torch.rand(1, 1, 28, 28).expand(64, -1, -1, -1)
    numbers = Augment(**settings).draw(64, torch.Generator().manual_seed(0))
    changed = Augment(**settings)(image, numbers)
    different = len({tuple(m.flatten().tolist()) for m in changed})
    assert different > 40 if "blur" in settings else different == 64, "the narrowest Gaussians are one pixel"
    half = Augment(**settings)(image[:32], numbers[:32])
    assert torch.allclose(half, changed[:32], atol=1e-3), "an image does not depend on the others of its batch"


@pytest.mark.parametrize(
    "augment", [Augment(rotate=5), Augment(mask=0.1), Augment(noise=0.1), Augment(erase=0.5)], ids=str
)
def test_the_numbers_of_the_older_settings_stay_as_they_were(augment):
    numbers = augment.draw(5, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    assert numbers.shape == (5, DRAWS)
    assert torch.equal(numbers[:, :MOVING], torch.rand(5, 11, generator=generator))
    second = numbers[:, MOVING:-MASKING] if augment.deforms else numbers[:, -MASKING:]
    assert torch.equal(second, torch.rand(*second.shape, generator=generator))


def test_the_elastic_displacement_is_smooth_and_as_strong_as_asked_everywhere():
    field = deform.displacement(torch.rand(4000), (28, 20), 0.05) / 2
    assert field.shape == (4000, 28, 20, 2)
    deviations = field.std(0)
    assert deviations.min() > 0.045 and deviations.max() < 0.055, "at the edges, too"
    # Noise that a Gaussian of standard deviation s smoothed has the correlation exp(-(distance / 2s)^2).
    for distance in (2, 4, 8):
        moved = torch.corrcoef(torch.stack([field[:, 10, 10, 0], field[:, 10 + distance, 10, 0]]))[0, 1]
        assert moved.item() == pytest.approx(math.exp(-((distance / 8) ** 2)), abs=0.06), distance
    assert abs(torch.corrcoef(torch.stack([field[:, 10, 10, 0], field[:, 10, 10, 1]]))[0, 1]) < 0.06, "x and y differ"


@pytest.mark.parametrize(
    ("amount", "operation", "why"),
    [(1.0, ndimage.grey_dilation, "one pixel wider"), (0.5, None, "unchanged")],
)
def test_strokes_change_as_in_scipy(amount, operation, why):
    image = 255 * torch.rand(1, 1, 12, 9)
    changed = deform.change_stroke(image, torch.tensor([amount]), 1.0)[0, 0]
    expected = operation(image[0, 0].numpy(), size=3, mode="reflect") if operation else image[0, 0].numpy()
    assert np.allclose(changed.numpy(), expected, atol=1e-3), why


def test_thinner_strokes_lose_ink_and_keep_their_brightness():
    images = torch.zeros(2, 1, 28, 28)
    images[0, :, 8:20, 10:16] = 200  # a stroke of six pixels
    images[1, :, 8:20, 10] = 200  # a stroke of one pixel, which an erosion alone would remove
    thin = deform.change_stroke(images, torch.zeros(2), 1.0)
    assert thin.amax((1, 2, 3)).tolist() == pytest.approx([200, 200])
    assert thin[0].sum() < 0.8 * images[0].sum() and (thin[1] > 0).sum() == 12


@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.0])
def test_blur_is_scipys_gaussian(deviation):
    image = torch.zeros(1, 1, 31, 41)
    image[0, 0, 12:17, 20:23] = 255
    ours = deform.blur(image, torch.tensor([0.5]), 2 * deviation)[0, 0].numpy()
    assert np.allclose(ours, ndimage.gaussian_filter(image[0, 0].numpy(), deviation, truncate=8), atol=0.3)


def test_background_lightens_paper_and_keeps_ink():
    images = torch.zeros(2000, 1, 28, 28)
    images[:, :, 10:12] = 255
    lit = Augment(background=0.4)(images, torch.rand(2000, DRAWS))
    paper = lit[:, 0, 14:]
    assert torch.equal(lit[:, :, 10:12], images[:, :, 10:12])
    assert paper.min() >= 0 and paper.max() <= 0.4 * 255 and paper.max() > 0.39 * 255
    assert (paper.flatten(1).amax(1) - paper.flatten(1).amin(1)).mean() > 20, "uneven"


def test_noise_has_the_deviation_that_was_asked_for_and_is_clipped():
    grey = torch.full((300, 1, 28, 28), 128.0)
    numbers = torch.rand(300, DRAWS)
    numbers[:, MOVING + DEFORMING - 1] = 0.5
    noisy = Augment(noise=0.2)(grey, numbers)
    assert noisy.std().item() == pytest.approx(0.1 * 255, rel=0.02) and noisy.mean().item() == pytest.approx(128, abs=1)
    neighbours = torch.corrcoef(torch.stack([noisy[:, 0, :, :-1].flatten(), noisy[:, 0, :, 1:].flatten()]))
    assert abs(neighbours[0, 1]) < 0.02
    black = Augment(noise=1.0)(torch.zeros(9, 1, 28, 28), torch.rand(9, DRAWS))
    assert black.min() == 0 and black.max() <= 255


def test_fields_of_random_numbers_are_uniform_and_differ_between_images():
    field = deform.uniform_field(torch.rand(500), 784)
    assert field.min() >= 0 and field.max() < 1
    counts = torch.histc(field, 16, 0, 1) / field.numel()
    assert (counts - 1 / 16).abs().max() < 0.002
    assert len({tuple(row.tolist()) for row in field}) == 500
    neighbours = deform.uniform_field(torch.tensor([0.5, 0.5 + 2**-24]), 10_000)
    assert abs(torch.corrcoef(neighbours)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("augment", "change", "flipped", "why"),
    [
        (Augment(flip_horizontal=True), {"mirror_x": 0.2}, [-1], "below 0.5: mirrored"),
        (Augment(flip_horizontal=True), {"mirror_x": 0.7}, [], "0.5 and above: kept"),
        (Augment(flip_vertical=True), {"mirror_y": 0.2}, [-2], "the other axis"),
        (Augment(flip_horizontal=True, flip_vertical=True), {"mirror_x": 0, "mirror_y": 0}, [-1, -2], "both axes"),
    ],
)
def test_flips_mirror_half_of_the_images(augment, change, flipped, why):
    image = torch.rand(1, 1, 28, 28)
    assert torch.allclose(augment(image, draws(**change)), image.flip(flipped), atol=1e-5), why


def test_fill_gives_the_pixels_from_outside_the_image():
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


IDENTITIES = (
    (Augment(), {}, "no setting"),
    (Augment(rotate=180, shift=1, zoom=0.99), {}, "angle 0, shift 0, scale 1"),
    (Augment(flip_horizontal=True, flip_vertical=True), {"mirror_x": 0.5, "mirror_y": 0.9}, "the half that is kept"),
    (Augment(erase=0.5), {"chosen": 0.5}, "not chosen to be erased"),
    (Augment(rotate=180, fill="nearest"), {}, "nothing comes in from outside"),
    (Augment(stroke=5), {}, "neither wider nor thinner"),
    (Augment(blur=20), {"blur": 0.0}, "a Gaussian of one pixel"),
    (Augment(background=1), {"light": 0.0, "lined": 0.9}, "no light, no lines"),
    (Augment(noise=1), {"noise_level": 0.0}, "no noise"),
)


@given(
    case=st.sampled_from(IDENTITIES),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(2, 40), st.integers(2, 40)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_identity_parameters_leave_images_of_any_shape_unchanged(case, shape, seed):
    augment, changes, why = case
    images = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    before = images.clone()
    augmented = augment(images, draws(shape[0], **changes))
    assert augmented.shape == images.shape and torch.allclose(augmented, images, atol=1e-4), why
    assert torch.equal(images, before), "the input is not changed"


@pytest.mark.parametrize("config", [None, "none", {}, {"fill": "nearest"}])
def test_an_augmentation_that_changes_nothing_is_false(config):
    assert not Augment.from_config(config)


@pytest.mark.parametrize("config", ["affine", "photo", "thesis", {"erase": 0.1}, {"flip_vertical": True}, *SINGLE])
def test_an_augmentation_that_changes_images_is_true(config):
    assert Augment.from_config(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("afine", "unknown augmentation 'afine'; did you mean affine"),
        ({"rotat": 3}, "unknown augment setting 'rotat'; did you mean rotate"),
        ({"rotate": -1}, "augment.rotate=-1: it must be from 0 to 180"),
        ({"fill": "mirror"}, "unknown augment.fill 'mirror'"),
        ({"elastic": 0.6}, "augment.elastic=0.6: it must be from 0 to 0.5"),
        ({"noise": "x"}, "augment.noise=x: it must be a number"),
    ],
)
def test_an_invalid_setting_is_named(config, message):
    with pytest.raises(InputError, match=message):
        Augment.from_config(config)


def test_blur_and_sharpen_are_the_kernels_of_the_thesis_with_black_padding():
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2] = 160
    blurred = apply_filters(image, blur=1)[0, 0]
    assert blurred[1:4, 1:4].tolist() == [[10, 20, 10], [20, 40, 20], [10, 20, 10]]
    corner = torch.full((1, 1, 3, 3), 160, dtype=torch.uint8)
    assert apply_filters(corner, blur=1)[0, 0, 0, 0] == 160 * 9 / 16
    assert apply_filters(image, sharpen=True)[0, 0, 2].tolist() == [0, 0, 255, 0, 0], "clipped to 0-255"
    assert math.isclose(apply_filters(image, blur=5).sum().item(), 160, rel_tol=0.3), "blurring keeps the sum"
    assert apply_filters(image) is image


def test_filters_treat_channels_separately_and_chunks_alike(monkeypatch):
    images = torch.randint(256, (7, 3, 9, 8), dtype=torch.uint8)
    whole = apply_filters(images, blur=2, sharpen=True)
    for channel in range(3):
        one = images[:, channel : channel + 1]
        assert torch.equal(apply_filters(one, blur=2, sharpen=True), whole[:, channel : channel + 1])
    monkeypatch.setattr("mnist_zoo.data.filters.CHUNK", 3 * 3 * 6 * 6)
    assert torch.equal(apply_filters(images, blur=2, sharpen=True), whole)


class TestWidth:
    def test_the_bounding_box_gets_the_width_in_the_middle(self):
        images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
        images[0, 0, 5:20, 2:8] = 200  # 6 wide, at the left
        images[1, 0, 5:20, 4:24] = 200  # 20 wide
        for width in (10, 14, 20):
            drawn = apply_filters(images, width=width)
            assert drawn.shape == images.shape and drawn.dtype == torch.uint8
            for number in (0, 1):
                columns = (drawn[number, 0] > 90).any(0).nonzero().flatten().tolist()
                assert columns == list(range(14 - width // 2, 14 + width // 2)), (width, number)
                rows = (drawn[number, 0] > 90).any(1).nonzero().flatten().tolist()
                assert rows == list(range(5, 20)), "heights stay"
            assert not drawn[2].any(), "a black image stays black"

    def test_the_same_width_moves_to_the_middle_only(self):
        image = torch.zeros(1, 2, 5, 10, dtype=torch.uint8)
        image[0, 0, 1:4, 0:4] = torch.tensor([10, 200, 30, 90], dtype=torch.uint8)
        image[0, 1, 2, 3] = 77
        moved = set_width(image, 4)
        assert torch.equal(moved[..., 3:7], image[..., 0:4]) and moved.sum() == image.sum()

    def test_parts_of_many_images_are_as_single_ones(self, monkeypatch):
        images = (torch.rand(5, 1, 9, 9) * 255 * (torch.rand(5, 1, 9, 9) > 0.7)).to(torch.uint8)
        whole = apply_filters(images, width=6, blur=1)
        monkeypatch.setattr(filters, "CHUNK", 81)
        assert torch.equal(apply_filters(images, width=6, blur=1), whole)
