"""The report's reconstructions: what a network with a decoder draws, beside the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_zoo import create_model
from mnist_zoo.report import reconstructions
from mnist_zoo.report.reconstructions import reconstruction_blocks
from mnist_zoo.weights import Description, pack

SIDE = 17  # pixels: the smallest images that capsnet takes
IMAGES = np.random.default_rng(0).integers(0, 255, (30, 1, SIDE, SIDE), dtype=np.uint8)
LABELS = np.arange(30) % 10
PREDICTED = np.where(np.arange(30) < 12, LABELS, 0)


@pytest.fixture
def trained(tmp_path) -> Path:
    """Return the weights of a decoder that draws every pixel with brightness 0.5 + 0.1 * 2 = 0.7."""
    options = {"name": "capsnet", "image_size": SIDE}
    network = create_model(**options)
    torch.nn.init.zeros_(network.decoder[-1].weight)
    torch.nn.init.constant_(network.decoder[-1].bias, 2.0)
    known = Description(options, 10, 1, (1, SIDE, SIDE), "mnist", 0.5, 0.1, tuple("0123456789"), {})
    path = tmp_path / "capsnet.safetensors"
    path.write_bytes(pack(network.state_dict(), known))
    return path


def test_correct_and_wrong_predictions_are_drawn_in_the_units_of_the_images(trained, monkeypatch):
    drawn = []
    monkeypatch.setattr(reconstructions, "image_grid", lambda images, captions: drawn.append((images, captions)))
    reconstruction_blocks(trained, "capsnet seed=0", IMAGES, LABELS, PREDICTED, "0123456789")
    [(images, captions)] = drawn
    assert images.shape == (19, 1, 2 * SIDE, SIDE), "the image above, the reconstruction below; no 0 is wrong"
    assert (images[:10, :, :SIDE] == IMAGES[:10]).all() and (images[:, :, SIDE:] == 178).all(), "0.7 * 255 = 178.5"
    assert captions[:2] == ["0", "1"] and captions[10:12] == ["1 as 0", "2 as 0"]


def test_the_block_is_a_plot(trained):
    [block] = reconstruction_blocks(trained, "capsnet seed=0", IMAGES, LABELS, PREDICTED, "0123456789")
    assert (block.kind, block.name) == ("figure", "reconstructions") and "capsnet seed=0" in block.caption


def test_a_run_without_weights_gets_one_sentence(tmp_path):
    [block] = reconstruction_blocks(tmp_path, "capsnet seed=0", IMAGES, LABELS, PREDICTED, "0123456789")
    assert block.kind == "text" and block.content.startswith("No reconstructions by capsnet seed=0: ")
