"""What a report says of runs that cannot simply be compared: repeated seeds, other settings, machines and lengths."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from test_report import LABELS, write_run

from mnist_zoo.report import compare, read_runs
from mnist_zoo.report.published import Row, measured
from mnist_zoo.report.verdicts import judge

NO_NETWORK = {
    **dict.fromkeys(("lr", "batch_size", "epochs", "epochs_run", "num_params", "flops")),
    **{"optimizer": None, "scheduler": None, "augment": None, "train_images_per_second": None},
}


def test_a_seed_counts_once_even_if_it_ran_on_two_machines_or_versions(tmp_path):
    """Twice the same seed is no second sample: the interval over seeds would be far too narrow."""
    for number, (device, identity) in enumerate([("a cpu", "one"), ("an H200", "two"), ("a cpu", "three")]):
        folder = write_run(tmp_path / f"{number}", seed=number // 2, device=device, wrong=[number])
        (folder / "status.json").write_text(json.dumps({"state": "finished", "identity": identity}))
    runs = read_runs([tmp_path])
    assert runs.table["seed"].tolist() == [0, 1] and compare(runs.table)["n"].tolist() == [2]
    ((folder, reason),) = runs.skipped
    assert folder.name == "1" and reason == f"repeats {tmp_path / '0'} (equal settings and seed): counted once"


def test_equal_seeds_do_not_make_the_prediction_certain(tmp_path):
    """Two seeds with equally many correct images happen by chance; the next seed may still differ by some."""
    for seed in (0, 1):
        write_run(tmp_path / str(seed), seed=seed, wrong=[0, 1])
    runs = read_runs([tmp_path]).table
    row = Row("related", "mlp", "mnist", None, "test_acc", "test_acc", 98.5, 0.05, "%", "", "none", ())
    verdict = judge(row, runs)
    assert 100 * (1 - 2 / len(LABELS)) == verdict.mean == 99.0
    assert verdict.low < 98.5 < verdict.high <= 100 and verdict.p > 0.05


@pytest.mark.parametrize("name", ["recall_digit_x", "confusions_a_as_b", "confusions_1_as_b"])
def test_a_published_metric_of_no_digit_is_not_measured(tmp_path, name):
    write_run(tmp_path / "run")
    table: pd.DataFrame = read_runs([tmp_path]).table
    assert measured(name, table) is None
