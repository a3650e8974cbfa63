"""``data.split_seed=${seed}``: the split varies with the seed, and all seeds are one configuration."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_report import write_run, write_run_on

from mnist_zoo.data import MNISTDataModule
from mnist_zoo.hydra_app.names import job_name, sweep_name
from mnist_zoo.hydra_app.overrides import parse
from mnist_zoo.hydra_app.resume import resumed
from mnist_zoo.report import compare, group_by_images, read_runs, significance, write_report
from mnist_zoo.report.datasets import load_data
from mnist_zoo.report.verdicts import against_papers, count_test_accuracies
from mnist_zoo.runs import read_metrics
from mnist_zoo.runs.identity import SPLIT_BY_SEED, split_varies
from mnist_zoo.training.run import run
from results.collect import collect, read_results

TYPED, IN_A_SWEEP = SPLIT_BY_SEED


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["seed=1", TYPED], True),
        ([IN_A_SWEEP], True),
        (["+data.split_seed=${seed}"], True),
        (["data.split_seed=1"], False),
        (["data.val_size=${seed}"], False),
        ([], False),
    ],
)
def test_the_override_that_lets_the_split_vary_is_known(overrides, expected):
    assert split_varies(overrides) is expected


def test_folders_have_names_that_can_be_read():
    assert job_name(["model=mlp", IN_A_SWEEP, "seed=1"]) == "data.split_seed=seed,model=mlp,seed=1"
    assert sweep_name(parse(["seed=0,1", TYPED])) == "seed,data.split_seed=seed"


def test_a_run_can_be_resumed_without_naming_it_again(tmp_path):
    write_run(tmp_path / "run", overrides=["model=mlp", TYPED], state="interrupted")
    assert TYPED in resumed(str(tmp_path / "run"), [])


def test_the_fingerprint_of_images_does_not_depend_on_the_split():
    one, other, blurred = (
        MNISTDataModule("stripes", **options) for options in ({}, {"split_seed": 1}, {"filters": {"blur": 1}})
    )
    assert one.images_fingerprint == other.images_fingerprint != blurred.images_fingerprint
    assert one.fingerprint != other.fingerprint


def test_runs_record_their_images_apart_from_their_split(stripes_config, tmp_path):
    found = []
    for seed in (0, 1):
        run(stripes_config(f"seed={seed}", TYPED, "epochs=1"), tmp_path / str(seed))
        found.append(read_metrics(tmp_path / str(seed)))
    assert found[0]["images_fingerprint"] == found[1]["images_fingerprint"]
    assert found[0]["data_fingerprint"] != found[1]["data_fingerprint"]


def write_both(folder, seeds=3, **fields):
    """Write runs of one configuration with a fixed split and with one for each seed, which share the run of seed 0."""
    for kind, override in (("fixed", None), ("varies", TYPED)):
        for seed in range(seeds):
            split = seed if override else 0
            write_run(
                folder / f"{kind}{seed}",
                seed=seed,
                wrong=range(3 + seed * (2 if override else 1)),
                overrides=["model=mlp", *([override] if override else [])],
                data_fingerprint=f"{split:016x}",
                images_fingerprint="f" * 16,
                **fields,
            )
    for kind in ("fixed0", "varies0"):
        (folder / kind / "status.json").write_text('{"state": "finished", "identity": "same"}')
    return folder


def test_all_splits_are_one_configuration_beside_that_of_the_fixed_split(tmp_path):
    table = read_runs([write_both(tmp_path)]).table
    assert table.groupby("label")["seed"].apply(list).to_dict() == {"mlp": [0, 1, 2], "mlp split=varies": [0, 1, 2]}, (
        "the run with seed 0 and split 0 belongs to both"
    )
    rows = compare(table).set_index("split")
    assert rows.loc["varies", "test_acc_half"] == pytest.approx(2 * rows.loc["fixed", "test_acc_half"])
    (shared,), _ = group_by_images(table)
    assert len(significance(shared.table, shared.predicted, shared.labels).pairs) == 1, "the same test images"


def test_runs_that_only_differ_in_a_typed_split_seed_stay_apart(tmp_path):
    for split in (0, 1):
        write_run(
            tmp_path / str(split),
            overrides=[f"data.split_seed={split}"],
            data_fingerprint=f"{split:016x}",
            images_fingerprint="f" * 16,
        )
    assert read_runs([tmp_path]).table["label"].nunique() == 2


def test_runs_of_earlier_versions_do_not_say_which_images_they_share(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / str(seed), seed=seed, overrides=[TYPED], data_fingerprint=f"{seed:016x}")
    assert read_runs([tmp_path]).table["split"].tolist() == ["fixed", "fixed"]


def test_the_report_says_which_interval_includes_other_splits(tmp_path):
    write_both(tmp_path / "runs", experiment="lr_sweep", lr=0.01)
    text = (write_report([tmp_path / "runs"]).parent / "report.md").read_text()
    assert "the interval covers other seeds and other splits; where it is fixed" in text
    cells = [line.split(" | ")[:3] for line in text.splitlines() if line.startswith(("| mlp |", "| mlp split"))]
    assert ["| mlp split=varies", "varies", "3"] in cells and ["| mlp", "fixed", "3"] in cells
    assert "agrees; the interval includes other splits" in text
    assert "Ensembles" in text and "Published test accuracies that these runs repeat: 1;" in text


def test_a_report_of_fixed_splits_does_not_speak_of_splits(tmp_path):
    text = (write_report([write_run(tmp_path / "run")]).parent / "report.md").read_text()
    assert "other splits" not in text and "| split |" not in text


def test_results_keep_the_two_kinds_apart(tmp_path):
    collect([write_both(tmp_path / "runs", experiment="lr_sweep", lr=0.01)], tmp_path / "results")
    table = read_results(tmp_path / "results", "lr_sweep")
    assert table["split"].value_counts().to_dict() == {"fixed": 3, "varies": 3}
    verdicts = against_papers([table])
    assert {v.split for v in verdicts if v.row.metric == "test_acc"} == {"fixed", "varies"}
    assert count_test_accuracies(verdicts)[0] == 1, "one published number"


def test_the_images_of_such_a_run_are_those_of_its_own_split(tmp_path):
    config = {"data": {"name": "stripes", "split_seed": 3}}
    write_run_on(tmp_path / "run", config, seed=3, overrides=[TYPED], images_fingerprint="f" * 16)
    recorded = {"data": {"name": "stripes", "split_seed": "${seed}"}}
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(json.dumps(recorded))
    found = read_runs([tmp_path]).table.iloc[0]
    found["labels"] = np.arange(40) % 10
    assert load_data(found).split_seed == 3
