"""The share of the data: epochs with a given number of images, and the report's section with its power law."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic_runs import write_runs

from mnist_zoo import MNISTDataModule
from mnist_zoo.data import Batches
from mnist_zoo.report.data_size import data_size_sections, fit_power_law, size_table
from mnist_zoo.report.page import write_report
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.runs import find_runs, read_metrics
from mnist_zoo.training.run import run


class TestEpochImages:
    @pytest.mark.parametrize(("count", "sizes"), [(25, [8, 8, 9]), (10, [8, 2]), (7, [7]), (None, [8, 2])])
    def test_an_epoch_has_this_many_images(self, count, sizes):
        images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 2)
        batches = Batches(images, torch.arange(10), 8, shuffle=True, count=count)
        epochs = [[labels for _, labels in batches] for _ in range(2)]
        assert [len(labels) for labels in epochs[0]] == sizes and len(batches) == len(sizes)
        order, again = (torch.cat(epoch).tolist() for epoch in epochs)
        assert order != again
        for first in range(0, len(order), 10):  # each pass has each image once, in another order
            part = order[first : first + 10]
            assert len({*part}) == len(part)
        if count == 25:
            assert order[:10] != order[10:20]

    def test_images_and_labels_stay_together_and_augmentation_differs_between_passes(self):
        data = MNISTDataModule(
            "mnist5k", train_fraction=0.01, epoch_images=150, batch_size=50, augment={"noise": 0.5}, normalize=False
        )
        plain = data.images("train").flatten(1)
        images, labels = (torch.cat(parts) for parts in zip(*data.train_dataloader(), strict=True))
        assert len(plain) == 37 and len(images) == 150
        distances = torch.cdist(images.flatten(1), plain.float() / 255)
        nearest = distances.argmin(1)
        assert torch.equal(labels, data.labels("train")[nearest])
        first, second = (nearest == 0).nonzero()[:2, 0]
        assert not torch.equal(images[first], images[second])

    def test_a_run_takes_equally_many_steps_and_records_it(self, config, tmp_path):
        line = [
            "data=mnist5k",
            "model=mlp",
            "model.hidden=[8]",
            "epochs=1",
            "trainer=cpu",
            "logger=none",
            "progress=none",
        ]
        found = {}
        for share in (0.01, 0.1):
            folder = tmp_path / str(share)
            run(config(*line, f"data.train_fraction={share}", "data.epoch_images=640"), folder, brief=True)
            saved = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
            found[share] = saved["global_step"], read_metrics(folder)
        assert found[0.01][0] == found[0.1][0] == 10
        metrics = found[0.01][1]
        assert metrics["n_train"] == 37 and metrics["config"]["data"] == {"normalize": True, "epoch_images": 640}


@pytest.mark.parametrize(("a", "b"), [(2.0, 0.5), (30.0, 0.31)])
def test_a_power_law_is_found_again(a, b):
    images = np.array([550.0, 2750, 5500, 55000])
    law = fit_power_law(images, a * images**-b)
    assert law == pytest.approx((a, b, 1.0))
    off = a * images**-b * np.array([1, 1, 1.2, 1])
    assert fit_power_law(images, off).misfit == pytest.approx(1.2, rel=0.12)


def write_sizes(folder: Path, epoch_images: int | None) -> None:
    """Make runs of `write_runs` of shares of the data: two networks, three sizes, two seeds; and one of one size."""
    for number, path in enumerate(find_runs([write_runs(folder, configurations=7, seeds=2, images=200)])):
        configuration = number // 2
        metrics = json.loads((path / "metrics.json").read_text())
        if configuration < 6:
            size = (100, 1000, 10_000)[configuration % 3]
            data = {"normalize": True} | ({} if epoch_images is None else {"epoch_images": epoch_images})
            metrics |= {"model": "cnn" if configuration < 3 else "mlp", "lr": 1e-3, "n_train": size}
            metrics |= {"data_fingerprint": f"{size:016d}", "config": {"data": data}}
        (path / "metrics.json").write_text(json.dumps(metrics))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch_images", "sentence"),
    [(10_000, "equal number of steps: 10 epochs of 10,000 images"), (None, "fewer images mean fewer steps, too")],
)
def test_the_report_shows_accuracy_against_images(tmp_path, epoch_images, sentence):
    write_sizes(tmp_path / "runs", epoch_images)
    text = write_report([tmp_path / "runs"], tmp_path / "report").with_suffix(".md").read_text()
    assert "## Accuracy against training images" in text and sentence in text
    rows = pd.read_csv(tmp_path / "report/data_size.csv")
    assert rows.groupby("configuration").size().to_dict() == {"cnn": 6, "mlp": 6}
    table = read_runs([tmp_path / "runs"]).table
    laws = []
    for seed in (0, 1):
        own = table[(table["model"] == "cnn") & (table["seed"] == seed)]
        laws.append(fit_power_law(own["n_train"].to_numpy(float), np.maximum(1 - own["test_acc"], 0.5 / 200)).b)
    assert f"{np.mean(laws):.3f} ±" in next(line for line in text.splitlines() if line.startswith("| cnn | 2 |"))


def test_runs_of_two_sizes_have_no_such_section(tmp_path):
    write_sizes(tmp_path / "runs", None)
    table = read_runs([tmp_path / "runs"]).table
    (both,) = group_by_images(table)[0]
    assert len(size_table(table)) == 12 and len(data_size_sections(both)) == 1
    (some,) = group_by_images(table[table["n_train"] != 100])[0]
    assert size_table(some.table).empty and data_size_sections(some) == []
