"""Runs made by version 0.1.0 can be read, and resumed with on_change=keep.

(Sweeps, studies and weights: in the tests of their rooms.)
"""

from __future__ import annotations

import pytest
import torch

from mnist_zoo import LitClassifier, __version__, create_model
from mnist_zoo.errors import InputError
from mnist_zoo.runs import read_curves, read_metrics, read_status
from mnist_zoo.training.run import run

SMALL = (
    "on_change=keep",
    "data=mnist5k",
    "model=mlp",
    "model.hidden=[4]",
    "trainer=cpu",
    "logger=none",
    "progress=none",
)
BATCHES = ("data.train_fraction=0.05", "batch_size=16", "epochs=3", "ema=0.9", "scheduler=onecycle", "augment=affine")
LISTS = ("epochs=2", "scheduler=cosine")


def test_a_finished_run_is_read_and_its_checkpoint_loads(version_0_1_0):
    folder = version_0_1_0 / "run"
    metrics = read_metrics(folder)
    assert metrics["versions"]["mnist_zoo"] == "0.1.0" and len(read_curves(folder)) == metrics["epochs_run"] == 2
    classifier = LitClassifier.load_from_checkpoint(folder / "checkpoints/best.ckpt").eval()
    network = create_model("mlp", hidden=[4], pretrained=folder).eval()
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(classifier(images), network(images))


def test_a_finished_run_trains_on(version_0_1_0, config):
    folder = version_0_1_0 / "run"
    with pytest.warns(UserWarning, match="was tested 1 time"):
        run(config(*SMALL, "data.train_fraction=0.05", "epochs=3"), folder, resume=True)
    metrics = read_metrics(folder)
    assert metrics["epochs_run"] == 3 and metrics["test_evaluations"] == 2
    assert read_status(folder)["changes"] == [f"mnist_zoo: 0.1.0 -> {__version__}"], "accepted, and recorded"


def test_another_version_continues_a_run_only_if_asked_to(version_0_1_0, config):
    folder = version_0_1_0 / "batches"
    with pytest.raises(InputError, match=r"\(mnist_zoo: 0\.1\.0 -> .*\): choose on_change=keep \(continue"):
        run(config(*SMALL, *BATCHES, "on_change=stop"), folder, resume=True)
    assert read_status(folder)["version"] == "0.1.0", "nothing is overwritten"


def test_a_run_whose_origin_is_lost_continues_only_if_asked_to(version_0_1_0, config):
    folder = version_0_1_0 / "batches"
    (folder / "status.json").write_text("{")
    with pytest.raises(InputError, match="mnist_zoo: unknown -> "):
        run(config(*SMALL, *BATCHES, "on_change=stop"), folder, resume=True)
    run(config(*SMALL, *BATCHES), folder, resume=True)
    assert read_metrics(folder)["epochs_run"] == 3


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("batches", BATCHES, "after batch 5 of 12, with an average of the weights"),
        ("lists", LISTS, "after the first of two lists of batches"),
    ],
)
def test_a_run_stopped_within_an_epoch_continues_at_that_step(version_0_1_0, config, name, settings, why):
    """Curves and metrics are those of the run that 0.1.0 did not stop: no image is seen twice or left out."""
    folder, whole = version_0_1_0 / name, version_0_1_0 / f"{name}_whole"
    run(config(*SMALL, *settings), folder, resume=True)
    for row, expected in zip(read_curves(folder), read_curves(whole), strict=True):
        for key in ("lr", "train_loss", "train_acc", "val_loss", "val_acc"):
            assert row[key] == pytest.approx(expected[key], rel=1e-4), why
    metrics, expected = read_metrics(folder), read_metrics(whole)
    for key in ("test_loss", "test_acc", "val_loss"):
        assert metrics[key] == pytest.approx(expected[key], rel=1e-4)
