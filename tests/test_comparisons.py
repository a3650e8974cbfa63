"""What stands in every comparison beside accuracies: epochs to a goal, size, label errors, and rows of one seed."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd
import pytest
from test_report import LABELS, write_run

from mnist_zoo.report import compare, mislabelled, read_runs, write_report
from mnist_zoo.report.mislabelled import MISLABELLED, clean_accuracy, well_labelled
from mnist_zoo.report.tables import goal_cells, seeds_cell
from results.collect import collect, read_results

HEADER = "epoch,lr,train_loss,train_acc,val_loss,val_acc,seconds,images_per_second\n"


def with_curve(folder, *accuracies: float, **fields):
    """Write a run with these validation accuracies, one for each epoch."""
    write_run(folder, **fields)
    rows = "".join(f"{epoch},0.001,0.2,0.9,0.1,{acc},1.5,1000\n" for epoch, acc in enumerate(accuracies, 1))
    (folder / "curves.csv").write_text(HEADER + rows)
    return folder


@pytest.fixture
def as_mnist(monkeypatch):
    """Let the 200 labels of `write_run` be those of MNIST's test set, with two mislabelled images."""
    digest = hashlib.blake2b(LABELS.astype(np.uint8).tobytes(), digest_size=8).hexdigest()
    monkeypatch.setattr(mislabelled, "DIGEST", digest)
    monkeypatch.setattr(mislabelled, "MISLABELLED", (3, 5))


GOALS = [  # validation accuracies of each seed's epochs; epochs to 98 % and to 99 %
    ([(0.97, 0.98, 0.985, 0.97)], ["2", "never"]),
    ([(0.97, 0.98, 0.99), (0.98, 0.99, 0.97)], ["1.5", "2.5"]),
    ([(0.97, 0.98, 0.99), (0.98, 0.97, 0.97), (0.9, 0.9, 0.9)], ["1.5 (2 of 3 seeds)", "3 (1 of 3 seeds)"]),
    ([()], ["-", "-"]),  # no curve, as of a classical model
]


@pytest.mark.parametrize(("curves", "cells"), GOALS)
def test_epochs_to_an_accuracy_are_those_of_the_seeds_that_reach_it(tmp_path, curves, cells):
    for seed, curve in enumerate(curves):
        with_curve(tmp_path / "runs" / str(seed), *curve, seed=seed)
    assert goal_cells(next(compare(read_runs([tmp_path]).table).itertuples())) == cells
    collect([tmp_path / "runs"], tmp_path / "results")
    table = read_results(tmp_path / "results", "zoo")
    assert goal_cells(next(compare(table).itertuples())) == cells, "the CSV file keeps them"


def test_rows_of_older_files_have_no_epochs_and_new_rows_are_added_to_them(tmp_path):
    with_curve(tmp_path / "old" / "a", 0.97, 0.99)
    collect([tmp_path / "old"], tmp_path)
    rows = pd.read_csv(tmp_path / "zoo.csv")
    rows.drop(columns=["epochs_to_98", "epochs_to_99"]).to_csv(tmp_path / "zoo.csv", index=False)
    assert goal_cells(next(compare(read_results(tmp_path, "zoo")).itertuples())) == ["-", "-"]
    with_curve(tmp_path / "new" / "b", 0.97, 0.98, seed=1)
    collect([tmp_path / "new"], tmp_path)
    assert goal_cells(next(compare(read_results(tmp_path, "zoo")).itertuples())) == ["2", "never"], "of the new seed"


def test_mislabelled_images_are_left_out_of_mnists_test_set_only(as_mnist):
    predicted = LABELS.copy()
    predicted[[3, 5, 7]] = 0
    kept = well_labelled(LABELS)
    assert np.flatnonzero(~kept).tolist() == [3, 5]
    assert clean_accuracy(LABELS, predicted) == pytest.approx(197 / 198)
    assert well_labelled(LABELS[::-1]) is None and math.isnan(clean_accuracy(LABELS[::-1], predicted))


def test_the_list_of_mislabelled_images_is_complete():
    assert len(set(MISLABELLED)) == 15 and min(MISLABELLED) >= 0 and max(MISLABELLED) < 10_000
    assert tuple(sorted(MISLABELLED)) == MISLABELLED


def test_accuracies_without_label_errors_are_in_reports_and_results(tmp_path, as_mnist):
    for seed in (0, 1):
        write_run(tmp_path / "runs" / str(seed), seed=seed, wrong=[3, 5, *range(10, 12 + seed)])
    row = compare(read_runs([tmp_path / "runs"]).table).iloc[0]
    assert row["clean_test_acc"] == pytest.approx(1 - 2.5 / 198)
    collect([tmp_path / "runs"], tmp_path / "results")
    table = read_results(tmp_path / "results", "zoo")
    assert table["clean_test_acc"].tolist() == pytest.approx([196 / 198, 195 / 198]), "from the stored predictions"
    text = (write_report([tmp_path / "runs"]).parent / "report.md").read_text()
    assert "| clean test |" in text and "98.74 [" in text and "Northcutt" in text, "98.74 ± 3.21 would end above 100 %"


def test_other_test_sets_have_no_column_for_label_errors(tmp_path):
    text = (write_report([write_run(tmp_path / "run")]).parent / "report.md").read_text()
    assert "clean test" not in text and "Northcutt" not in text


def test_a_row_of_one_seed_says_so_in_every_table(tmp_path):
    write_run(tmp_path / "a", model="cnn", experiment="dropout", overrides=["model=cnn"])
    write_run(tmp_path / "b", model="mlp", wrong=[1])
    text = (write_report([tmp_path / "a", tmp_path / "b"], tmp_path / "out").parent / "report.md").read_text()
    tables = [block for block in text.split("\n\n") if block.startswith("|") and "seeds |" in block.splitlines()[0]]
    assert len(tables) == 4, "comparison, costs, published numbers, significance"
    for row in (row for table in tables[:3] for row in table.splitlines()[2:]):
        assert "| one seed |" in row, row
    assert "undecided: one seed" in tables[3]
    assert (seeds_cell(1), seeds_cell(3)) == ("one seed", "3")


def test_the_size_of_a_network_is_that_of_its_parameters_in_float32(tmp_path):
    write_run(tmp_path / "run")
    runs = read_runs([tmp_path]).table
    googlenet = compare(runs.assign(num_params=9_954_366)).iloc[0]
    assert googlenet.megabytes == pytest.approx(39.817, abs=1e-3), "as the paper of lr_sweep prints"
