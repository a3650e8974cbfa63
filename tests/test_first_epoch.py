"""The losses of the first epoch's steps: recorded, read and drawn."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_runs import write_runs

from mnist_zoo.errors import InputError
from mnist_zoo.report import read_runs
from mnist_zoo.report.first_epoch import first_epoch_sections
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.runs import Damaged, DamagedFile, read_curves
from mnist_zoo.runs.first_epoch import read_first_epoch, write_first_epoch
from mnist_zoo.training.first_epoch import FirstEpochLosses
from mnist_zoo.training.run import run

RECORD = "callbacks=[mnist_zoo.training.first_epoch.FirstEpochLosses]"


@pytest.mark.parametrize("speed", ["full", "none"])
def test_each_step_of_the_first_epoch_has_its_loss(stripes_config, tmp_path, speed):
    run(stripes_config(RECORD, f"speed={speed}", "epochs=2", "batch_size=16"), tmp_path)
    losses = read_first_epoch(tmp_path)
    assert len(losses) == 11 and losses[-1] < losses[0]
    assert np.mean(losses) == pytest.approx(read_curves(tmp_path)[0]["train_loss"], rel=1e-5), "batches of equal size"


def test_a_run_that_is_resumed_within_the_epoch_keeps_the_losses_so_far():
    first, second = FirstEpochLosses(), FirstEpochLosses()
    first.load_state_dict({"losses": [2.5, 2.0]})
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == {"losses": [2.5, 2.0]}


@pytest.mark.parametrize(
    ("override", "message"),
    [("+trainer.accumulate_grad_batches=2", "needs one batch for each step: accumulate_grad_batches=1")],
)
def test_what_it_cannot_record_is_refused(stripes_config, tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        run(stripes_config(RECORD, override), tmp_path)


def test_a_run_without_the_file_has_no_losses(tmp_path):
    assert read_first_epoch(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line does not name the columns"),
        ("step,loss\n1,2.5\n3,2.0\n", "line 3 is invalid"),
        ("step,loss\n1,nan\n", "line 2 is invalid"),
        ("step,loss\n1,x\n", "line 2: could not convert"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
    (tmp_path / "first_epoch.csv").write_text(text)
    with pytest.raises(DamagedFile, match=message):
        read_first_epoch(tmp_path)


def test_the_report_draws_a_line_for_each_configuration(tmp_path):
    write_runs(tmp_path, configurations=2, seeds=2)
    runs = read_runs([tmp_path]).table
    [group], _ = group_by_images(runs)
    assert first_epoch_sections(group, Damaged()) == []
    for number, folder in enumerate(runs["folder"]):
        write_first_epoch(folder, [2.0 + number, 1.0 + number])
    [section] = first_epoch_sections(group, Damaged())
    (axis,) = section.blocks[0].content.axes
    assert len(axis.lines) == 2 and axis.lines[0].get_xdata().tolist() == [1, 2]
    means = sorted(line.get_ydata()[0] for line in axis.lines)
    assert means == [2.5, 4.5], "over two seeds; the first step has no earlier ones"
    (runs["folder"].iloc[0] / "first_epoch.csv").write_text("x")
    damaged = Damaged()
    first_epoch_sections(group, damaged)
    assert list(damaged.folders) == [runs["folder"].iloc[0]]
