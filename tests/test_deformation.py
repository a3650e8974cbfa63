"""Nearest neighbours under the image distortion model."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from mnist_zoo.deformation import classify, distortion, euclidean, gradients, nearest
from mnist_zoo.errors import InputError

ROOT = Path(__file__).parents[1]


def bars(*columns: int) -> torch.Tensor:
    """Return images 12x12 with a bar in this column."""
    images = torch.zeros(len(columns), 1, 12, 12, dtype=torch.uint8)
    for image, column in zip(images, columns, strict=True):
        image[0, 3:9, column] = 200
    return images


def test_gradients_are_sobels():
    image = torch.arange(5.0).expand(5, 5)[None, None] * 3
    across, down = gradients(image)[0]
    assert torch.allclose(across[1:-1, 1:-1], torch.tensor(3.0)) and not down[1:-1, 1:-1].any()
    assert gradients(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape == (2, 6, 8, 8)


def test_the_distance_is_the_sum_of_the_best_matches():
    """Against loops over pixels, displacements and surroundings."""
    test, reference, warp = torch.rand(2, 6, 5), torch.rand(2, 6, 5), 1

    def at(image, row, column):
        return image[:, row, column] if 0 <= row < 6 and 0 <= column < 5 else torch.zeros(2)

    total = 0.0
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    for row in range(6):
        for column in range(5):
            inside = [(i, j) for i, j in around if 0 <= row + i < 6 and 0 <= column + j < 5]
            total += min(
                sum(
                    (at(test, row + i, column + j) - at(reference, row + i + down, column + j + right)).square().sum()
                    for i, j in inside
                )
                for down, right in around
            )
    assert distortion(test[None], reference[None], warp).item() == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("shift", "warp", "same"), [(0, 0, True), (1, 1, True), (2, 2, True), (2, 1, False), (1, 0, False)]
)
def test_a_shift_of_at_most_warp_pixels_costs_nothing(shift, warp, same):
    first, second = (gradients(bars(column)) for column in (5, 5 + shift))
    assert (distortion(first, second, warp).item() < 1e-3) == same


def test_a_shifted_image_is_nearer_than_another_shape():
    dot = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    dot[0, 0, 3:6, 6] = 200
    references = torch.cat([dot, bars(8)])
    assert euclidean(bars(6), references, 1).item() == 0, "half of the bar"
    found, distances = nearest(bars(6), references, neighbours=2, candidates=2)
    assert found.tolist() == [[1, 0]] and distances[0, 0] < 1e-3 < distances[0, 1]


def test_only_the_candidates_are_compared():
    found, _ = nearest(bars(6), bars(8, 11, 7), neighbours=1, candidates=1)
    assert found.tolist() == euclidean(bars(6), bars(8, 11, 7), 1).tolist()


def test_the_most_frequent_class_wins_and_then_the_nearest():
    labels = torch.tensor([[4, 2, 2], [1, 0, 3], [0, 0, 0]])
    assert classify(labels, 5).tolist() == [2, 1, 0]
    assert classify(torch.tensor([[1, 0, 0, 0, 1, 1], [3, 2, 2, 4, 4, 1]]), 5).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 0}, "neighbours=0, candidates=2 and warp=2 of 3 references"),
        ({"candidates": 4}, "candidates=4 and warp=2 of 3 references"),
        ({"warp": -1}, "warp=-1 of 3 references"),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        nearest(bars(6), bars(1, 2, 3), **({"neighbours": 1, "candidates": 2} | options))


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match="differ"):
        nearest(bars(6), bars(1, 2)[:, :, 1:], 1, 1)


def test_the_example_prints_both_accuracies(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["deformation_knn.py", "--images", "20", "--candidates", "10"])
    runpy.run_path(str(ROOT / "examples" / "deformation_knn.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "3,667 references, 20 test images, k=3" in said
    assert "Euclidean distance       accuracy" in said and "image distortion model   accuracy" in said
