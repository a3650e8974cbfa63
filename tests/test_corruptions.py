"""The fifteen corruptions of MNIST-C: what each does to an image, and that it depends on nothing but seed and image."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage, stats

from mnist_zoo.data.batches import mix
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.corruptions import CORRUPTIONS, corrupt
from mnist_zoo.robustness.corruptions.blur import gaussian_blur
from mnist_zoo.robustness.corruptions.draws import BLOCK, Draws

RANDOM = sorted({*CORRUPTIONS} - {"scale", "brightness", "stripe", "canny_edges"})


@pytest.fixture(scope="module")
def digits():
    """Return 600 images that look like digits to a corruption: a bright blurred stroke on black."""
    rng = np.random.default_rng(0)
    images = np.zeros((600, 28, 28))
    for image in images:
        top, left, tilt = rng.integers(6, 10), rng.integers(8, 16), rng.uniform(-0.4, 0.4)
        for row in range(14):
            image[top + row, round(left + tilt * row) : round(left + tilt * row) + 3] = 1
    return torch.from_numpy(ndimage.gaussian_filter(images, (0, 0.5, 0.5))).float().clamp(0, 1).unsqueeze(1)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_depends_on_seed_and_place_alone(name, digits):
    whole = corrupt(digits, name)
    assert whole.shape == digits.shape and whole.dtype == torch.float32
    assert whole.min() >= 0 and whole.max() <= 1 and whole.isfinite().all()
    assert (whole - digits).abs().mean() > 0.01, "the images are unchanged"
    assert torch.equal(corrupt(digits, name), whole), "the same call gives other images"
    for start, stop in ((0, 1), (250, 263), (590, 600)):
        torch.testing.assert_close(corrupt(digits[start:stop], name, first=start), whole[start:stop])
    others = digits.clone()
    others[:300] = 1 - others[:300]
    torch.testing.assert_close(corrupt(others, name)[300:], whole[300:])
    assert torch.equal(corrupt(digits, name, seed=1), whole) == (name not in RANDOM)


@pytest.mark.parametrize("name", RANDOM)
def test_every_image_is_corrupted_in_its_own_way(name, digits):
    same = corrupt(digits[:1].expand(40, -1, -1, -1), name)
    assert len(same.flatten(1).unique(dim=0)) >= (2 if name in ("shear", "rotate") else 4)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 40, 30), (1, 4, 4)])
def test_images_of_other_shapes_are_corrupted(name, shape):
    images = torch.rand(3, *shape)
    corrupted = corrupt(images, name)
    assert corrupted.shape == images.shape and corrupted.min() >= 0 and corrupted.max() <= 1


@pytest.mark.parametrize(
    ("images", "name", "message"),
    [
        (torch.zeros(2, 1, 28, 28), "rain", "unknown corruption 'rain'"),
        (torch.zeros(2, 28, 28), "fog", r"images must be float32 \(N, C, H, W\)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "fog", "not torch.uint8"),
        (torch.zeros(2, 1, 3, 28), "fog", "images of 3x28 are too small"),
    ],
)
def test_other_images_are_refused(images, name, message):
    with pytest.raises(InputError, match=message):
        corrupt(images, name)


def test_no_images_are_no_images():
    assert corrupt(torch.zeros(0, 1, 28, 28), "fog").shape == (0, 1, 28, 28)


def grey(value, count=BLOCK):
    return torch.full((count, 1, 28, 28), value)


def test_shot_noise_is_poisson_cut_at_white():
    corrupted = corrupt(grey(0.4), "shot_noise").flatten()
    shares = [(corrupted == k / 3).float().mean().item() for k in range(4)]
    expected = [*stats.poisson.pmf(range(3), 1.2), stats.poisson.sf(2, 1.2)]
    assert shares == pytest.approx(expected, abs=0.005)
    assert (corrupt(grey(0.0), "shot_noise") == 0).all()


def test_impulse_noise_makes_17_percent_black_or_white():
    corrupted = corrupt(grey(0.4), "impulse_noise")
    shares = [(corrupted == value).float().mean().item() for value in (0.0, 1.0, 0.4)]
    assert shares == pytest.approx([0.085, 0.085, 0.83], abs=0.003)


def test_brightness_adds_a_half():
    assert corrupt(torch.tensor([0.0, 0.2, 0.8]).view(3, 1, 1, 1).expand(3, 1, 28, 28), "brightness")[
        :, 0, 5, 5
    ].tolist() == pytest.approx([0.5, 0.7, 1.0])


def test_the_stripe_is_what_stays():
    corrupted = corrupt(grey(0.1, 1), "stripe")[0, 0]
    assert corrupted[:, 7:21].unique().tolist() == pytest.approx([0.1])
    assert corrupted[:, :7].unique().tolist() == corrupted[:, 21:].unique().tolist() == pytest.approx([0.9])


def test_translation_moves_by_3_pixels_in_each_direction():
    image = torch.zeros(200, 1, 28, 28)
    image[:, 0, 10, 12] = 1
    places = {tuple(place) for place in corrupt(image, "translate").nonzero()[:, 2:].tolist()}
    assert places == {(7, 9), (7, 15), (13, 9), (13, 15)}


@pytest.mark.parametrize(
    ("name", "matrices"),
    [
        ("scale", [[[1 / 0.7, 0], [0, 1 / 0.7]]]),
        (
            "rotate",
            [[[math.cos(0.4), s * math.sin(0.4)], [-s * math.sin(0.4), math.cos(0.4)]] for s in (-1, 1)],
        ),
        ("shear", [[[math.cos(0.4), 0], [s * math.sin(0.4), 1]] for s in (-1, 1)]),
    ],
)
def test_geometry_is_that_of_scipy(name, matrices, digits):
    """Each matrix maps (row, column) of the result to that of the image, seen from the centre."""
    some = digits[:30]
    expected = []
    for matrix in matrices:
        offset = np.array([13.5, 13.5]) - np.array(matrix) @ np.array([13.5, 13.5])
        moved = [ndimage.affine_transform(image[0].numpy(), matrix, offset, order=1) for image in some]
        expected.append(torch.from_numpy(np.stack(moved)).unsqueeze(1))
    corrupted = corrupt(some, name)
    errors = torch.stack([(corrupted - one).abs().amax(dim=(1, 2, 3)) for one in expected])
    assert errors.min(dim=0).values.max() < 1e-4
    assert len(errors.argmin(dim=0).unique()) == len(matrices), "only one of the directions occurs"


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.5])
def test_the_gaussian_blur_is_that_of_scipy(sigma):
    images = torch.rand(2, 1, 20, 28)
    expected = [ndimage.gaussian_filter(image[0].numpy(), sigma, mode="nearest", truncate=4) for image in images]
    np.testing.assert_allclose(gaussian_blur(images, sigma)[:, 0], np.stack(expected), atol=1e-6)
    constant = gaussian_blur(torch.ones(1, 1, 9, 9), sigma, "nothing")
    torch.testing.assert_close(constant, torch.ones_like(constant))


def test_glass_blur_moves_pixels_one_after_another():
    """The order of the paper's loops, with the same random numbers, gives the same image."""
    images = torch.rand(5, 1, 28, 28)
    corrupted = corrupt(images, "glass_blur")
    draws = Draws(mix(0, zlib.crc32(b"glass_blur"), 0), slice(0, 5), torch.device("cpu"))
    choices = (draws.uniform(2, 28 * 28) * 8).long()
    moves = [(0, 0)] * 5 + [(0, -1), (-1, 0), (-1, -1)]
    pixels = gaussian_blur(images, 0.7)
    for image, chosen in zip(pixels[:, 0], choices, strict=True):
        for number in range(2):
            for row in range(27, 1, -1):
                for column in range(27, 1, -1):
                    down, right = moves[chosen[number, 28 * row + column]]
                    other = image[row + down, column + right].clone()
                    image[row + down, column + right] = image[row, column]
                    image[row, column] = other
    torch.testing.assert_close(corrupted, gaussian_blur(pixels, 0.7).clamp(0, 1))


def test_motion_blur_keeps_the_brightness_and_smears_to_one_side():
    image = torch.zeros(100, 1, 28, 28)
    image[:, 0, 14, 20] = 1
    corrupted = corrupt(image, "motion_blur")
    torch.testing.assert_close(corrupted.sum(dim=(1, 2, 3)), torch.ones(100))
    rows, columns = (corrupted.sum(dim=(1, axis)) for axis in (3, 2))
    assert columns[:, 21:].max() < 1e-6 and (columns[:, 10:18].sum(1) > 0.2).all()
    assert rows[:, :14].sum() > 1 and rows[:, 15:].sum() > 1, "the angle is both negative and positive"
    constant = corrupt(grey(0.3, 5), "motion_blur")
    torch.testing.assert_close(constant, grey(0.3, 5))


def test_fog_is_a_cloud_scaled_to_the_images_maximum():
    white = torch.zeros(BLOCK, 1, 28, 28)
    white[..., :2] = 1
    corrupted = corrupt(white, "fog")
    clouds = 4 / 3 * corrupted[..., 2:]  # what was black: 3 * cloud / (1 + 3)
    assert clouds.min() < 0.1 and 0.8 < clouds.max() <= 1
    assert 0.3 < clouds.mean() < 0.7
    rough = (clouds[..., 1:] - clouds[..., :-1]).abs().mean()
    assert rough < 0.3 * clouds.std(), "neighbours in a cloud are similar"
    assert (corrupted[..., :2].amin(dim=(1, 2, 3)) >= 0.25 - 1e-6).all()


def test_spatter_covers_a_part_of_the_image_with_dark_grey():
    black, white = (corrupt(grey(value), "spatter") for value in (0.0, 1.0))
    assert black.max() <= 63 / 255 + 1e-6
    covered = black > 0
    assert 0.05 < covered.float().mean() < 0.4
    assert (white[~covered] == 1).all() and (white[covered] < 0.5).all()


def test_a_dotted_line_has_dots_of_two_columns():
    line = corrupt(grey(0.0, 200), "dotted_line")
    bright = line.amax(dim=(1, 2)).gt(0.3)
    assert not bright[:, [0, 1, 4, 5, 24, 25]].any() and bright[:, [2, 3, 6, 7, 26, 27]].all()
    starts, ends = line[:, 0, :, 2].argmax(1), line[:, 0, :, 26].argmax(1)
    assert starts.min() <= 2 and starts.max() >= 24 and ends.min() <= 2 and ends.max() >= 24
    torch.testing.assert_close(corrupt(grey(1.0, 3), "dotted_line"), grey(1.0, 3))


def test_a_zigzag_goes_up_and_down_by_two_pixels():
    line = corrupt(grey(0.0, 300), "zigzag")[:, 0]
    columns = line.amax(dim=1)
    assert (columns[:, :2] == 0).all() and (columns[:, 26:] == 0).all()
    inside = (
        (line[:, 4:24].sum(dim=(1, 2)) > 0) & (line[:, :4].sum(dim=(1, 2)) == 0) & (line[:, 24:].sum(dim=(1, 2)) == 0)
    )
    heights = line[inside].argmax(dim=1)[:, 3:25].float()
    assert inside.sum() > 50
    turns = (heights.diff(dim=1).sign().diff(dim=1).abs() == 2).float().sum(1)
    spread = heights.amax(1) - heights.amin(1)
    assert spread.min() >= 3 and spread.max() <= 10 and turns.float().mean() > 2


def test_the_edges_of_a_square_are_its_outline():
    image = torch.zeros(1, 1, 28, 28)
    image[..., 8:20, 8:20] = 1
    edges = corrupt(image, "canny_edges")[0, 0]
    assert set(edges.unique().tolist()) == {0.0, 1.0}
    inner, outer = edges[10:18, 10:18], F.pad(torch.zeros(16, 16), (6,) * 4, value=1) * edges
    assert inner.sum() == 0 and outer.sum() == 0
    filled = ndimage.binary_fill_holes(edges.numpy())
    assert 10 * 10 <= filled.sum() <= 14 * 14 and filled[10:18, 10:18].all(), "the outline is closed"


def test_weak_edges_count_only_beside_strong_ones():
    image = torch.zeros(2, 1, 28, 28)
    image[:, 0, :, 14:] = torch.linspace(0.06, 1, 28).unsqueeze(1)  # the edge of row 0 is weak
    image[1] = 0.06 * (image[1] > 0)
    edges = corrupt(image, "canny_edges")
    assert edges[0, 0, 1:27].amax(dim=1).min() == 1 and edges[1].sum() == 0
