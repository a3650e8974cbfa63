"""Double MNIST: pairs of digits, and the accuracy of the parts of labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from synthetic_runs import write_runs
from test_data import write_mnist

from mnist_zoo.data import ImageSet
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.report.page import write_report
from mnist_zoo.runs import find_runs, read_metrics, read_predictions
from mnist_zoo.training.evaluation import part_accuracy
from mnist_zoo.training.run import run
from results.collect import PARTS, collect


def halves(images: np.ndarray) -> list[bytes]:
    """Return the digits of pairs as bytes."""
    return [half.tobytes() for pair in images for half in (pair[:, :28], pair[:, 28:])]


def test_each_digit_is_in_one_pair_of_its_own_split(tmp_path):
    write_mnist(tmp_path / "MNIST/raw")
    single, double = load("mnist", tmp_path, {}), load("double_mnist", tmp_path, {})
    assert double.train_images.shape == (30, 28, 56) and double.test_images.shape == (10, 28, 56)
    for part in ("train", "test"):
        images, pairs = getattr(single, f"{part}_images"), getattr(double, f"{part}_images")
        label = dict(zip((image.tobytes() for image in images), getattr(single, f"{part}_labels"), strict=True))
        found = halves(pairs)
        assert sorted(found) == sorted(label), "each digit of the split once"
        expected = [10 * label[left] + label[right] for left, right in zip(found[::2], found[1::2], strict=True)]
        assert getattr(double, f"{part}_labels").tolist() == expected
    assert double.class_names[7] == "07" and double.class_names[42] == "42" and len(double.class_names) == 100
    again = load("double_mnist", tmp_path, {})
    assert np.array_equal(again.train_images, double.train_images), "the seed is fixed"
    assert double.train_labels.tolist() != sorted(double.train_labels.tolist())


def test_parts_must_give_the_classes():
    images, labels = np.zeros((3, 2, 2), np.uint8), np.arange(3)
    with pytest.raises(InputError, match=r"labels of parts=\(2, 2\) need 4 class names"):
        ImageSet(images, labels, images, labels, ("a", "b", "c"), parts=(2, 2))


@pytest.mark.parametrize(
    ("parts", "labels", "predicted", "accuracy"),
    [
        ((10, 10), [42, 7, 99], [42, 7, 99], 1.0),
        ((10, 10), [42, 7, 99], [43, 70, 99], 3 / 6),
        ((2, 5), [0, 9], [5, 4], 2 / 4),
        ((2, 3, 4), [23, 0], [11, 1], 4 / 6),
    ],
)
def test_the_accuracy_of_parts(parts, labels, predicted, accuracy):
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 100).float()
    assert part_accuracy(logits, torch.tensor(labels), parts) == pytest.approx(accuracy)


def test_a_run_records_and_shows_the_accuracy_of_single_digits(config, tmp_path, capsys):
    write_mnist(tmp_path / "MNIST/raw")
    line = ["data=double_mnist", f"data.root={tmp_path}", "model=mlp", "epochs=1", "trainer=cpu", "logger=none"]
    run(config(*line, "progress=none", "data.val_size=10"), tmp_path / "run")
    metrics, arrays = read_metrics(tmp_path / "run"), read_predictions(tmp_path / "run")
    predicted, labels = arrays["logits"].argmax(1), arrays["labels"].astype(int)
    digits = np.concatenate([predicted // 10 == labels // 10, predicted % 10 == labels % 10])
    assert metrics["test_part_acc"] == pytest.approx(digits.mean()) and metrics["test_part_acc"] >= metrics["test_acc"]
    assert metrics["model_options"]["image_size"] == [28, 56] and arrays["logits"].shape == (10, 100)
    assert f"single digits: train {metrics['train_part_acc']:.4f}" in capsys.readouterr().out


@pytest.mark.slow
def test_the_report_and_the_results_have_the_accuracy_of_single_digits(tmp_path):
    folder = write_runs(tmp_path / "runs", configurations=2, seeds=2, images=100)
    for number, path in enumerate(find_runs([folder])):
        metrics = json.loads((path / "metrics.json").read_text())
        parts = {f"{split}_part_acc": 0.9 + 0.002 * number for split in ("train", "val", "test")}
        (path / "metrics.json").write_text(json.dumps(metrics | parts))
    text = write_report([folder], tmp_path / "report").with_suffix(".md").read_text()
    assert "## Parts of the labels" in text and "90.10 ± " in text and "90.50 ± " in text
    (path,) = collect([folder], tmp_path / "results")
    header = path.read_text().partition("\n")[0].split(",")
    assert set(PARTS) <= set(header)
