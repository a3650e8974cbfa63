"""mnist_zoo.report: reading runs, tables, published numbers, ensembles, the page (test_statistics.py: statistics)."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mnist_zoo import list_models
from mnist_zoo.data import load_data as load_configured
from mnist_zoo.errors import InputError
from mnist_zoo.names import CLASSICAL
from mnist_zoo.plots.style import FIGURE_DPI
from mnist_zoo.report import __main__ as report
from mnist_zoo.report import compare, group_by_images, read_predictions, read_runs, significance, vote, write_report
from mnist_zoo.report import figures as plots
from mnist_zoo.report.datasets import load_data
from mnist_zoo.report.ensembles import ensembles
from mnist_zoo.report.published import OF_CURVES, Row, measured, published_rows, why_not_comparable
from mnist_zoo.report.reading import augment_name
from mnist_zoo.report.statistics import mean_interval
from mnist_zoo.report.tables import accuracy_cells, class_report, frequent_confusions
from mnist_zoo.report.verdicts import against_papers, count_test_accuracies, judge

FIXTURES = Path(__file__).parent / "fixtures" / "0.1.0"
LABELS = np.arange(200) % 10


def write_run(folder: Path, *, wrong=(), seed=0, experiment=None, overrides=(), state="finished", **fields) -> Path:
    """Write a run folder whose network predicts the next class for the test and validation images `wrong`."""
    (folder / ".hydra").mkdir(parents=True)
    logits = np.zeros((len(LABELS), 10), np.float32)
    predicted = LABELS.copy()
    predicted[list(wrong)] = (LABELS[list(wrong)] + 1) % 10
    logits[np.arange(len(LABELS)), predicted] = 3.0
    accuracy = float((predicted == LABELS).mean())
    metrics = {
        "model": "mlp",
        "data": "mnist",
        "data_fingerprint": "0" * 16,
        "num_params": 105214,
        "flops": 210000,
        "n_train": 1000,
        "n_val": len(LABELS),
        "n_test": len(LABELS),
        "lr": 0.001,
        "batch_size": 64,
        "seed": seed,
        "epochs": 2,
        "epochs_run": 2,
        "fit_seconds": 3.0 + seed,
        "train_images_per_second": 1000.0,
        "device": "a cpu",
        "model_options": {"hidden": [120, 84]},
        "augment": {"rotate": 0.0, "fill": "zeros"},
        "optimizer": {"name": "adam"},
        "scheduler": {"name": "none"},
        "config": {"trainer": {"precision": "32-true"}},
        "versions": {"torch": "2.6"},
    }
    metrics |= {f"{split}_{name}": value for split in ("train", "val", "test") for name, value in
                (("acc", accuracy), ("loss", 0.1))} | fields  # fmt: skip
    status = {"state": state, "epoch": 1, "epochs": 2, "reason": "DivergedError: val_loss became nan"}
    (folder / "status.json").write_text(json.dumps(status))
    if state == "finished":
        (folder / "metrics.json").write_text(json.dumps(metrics))
        labels = LABELS.astype(np.uint8)
        np.savez(folder / "predictions.npz", logits=logits, labels=labels, val_logits=logits, val_labels=labels)
    header = "epoch,lr,train_loss,train_acc,val_loss,val_acc,seconds,images_per_second\n"
    rows = "".join(f"{epoch},0.001,0.2,0.9,0.1,{0.8 + epoch / 20},1.5,1000\n" for epoch in (1, 2))
    (folder / "curves.csv").write_text(header + rows)
    asked = [f"seed={seed}", *([f"experiment={experiment}"] if experiment else []), *overrides]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in asked))
    return folder


# -- reading -----------------------------------------------------------------------------------------------------------


def test_runs_that_differ_only_in_the_seed_are_one_configuration(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", seed=seed)
        write_run(tmp_path / f"b{seed}", seed=seed, lr=0.01)
        write_run(tmp_path / f"c{seed}", seed=seed, model="cnn", model_options={"dense": [64]})
        write_run(tmp_path / f"d{seed}", seed=seed, model="lenet5")
        write_run(tmp_path / f"e{seed}", seed=seed, model="lenet5", config={"trainer": {"precision": "bf16-mixed"}})
    table = read_runs([tmp_path]).table
    assert table.groupby("label")["seed"].apply(list).to_dict() == {
        "cnn": [0, 1],
        "lenet5 trainer.precision=32-true": [0, 1],
        "lenet5 trainer.precision=bf16-mixed": [0, 1],
        "mlp lr=0.001": [0, 1],
        "mlp lr=0.01": [0, 1],
    }, "a label names only the settings that differ between the configurations of its model"


def test_every_skipped_folder_has_a_reason(tmp_path):
    write_run(tmp_path / "good")
    write_run(tmp_path / "running", state="running")
    write_run(tmp_path / "failed", state="failed")
    write_run(tmp_path / "cut")
    (tmp_path / "cut" / "metrics.json").write_text('{"model": "ml')
    write_run(tmp_path / "lacks")
    (tmp_path / "lacks" / "metrics.json").write_text('{"model": "mlp"}')
    shutil.copytree(write_run(tmp_path / "no_predictions"), tmp_path / "damaged")
    (tmp_path / "no_predictions" / "predictions.npz").unlink()
    (tmp_path / "damaged" / "predictions.npz").write_bytes(b"PK\x03\x04 cut short")
    (tmp_path / "empty").mkdir()
    runs = read_runs([tmp_path])
    _, broken = group_by_images(runs.table)
    reasons = {folder.name: reason for folder, reason in runs.skipped + broken}
    assert broken == []
    expected = {
        "running": "unfinished: epoch 1 of 2",
        "failed": "failed: DivergedError: val_loss became nan",
        "cut": r"damaged: metrics\.json: it is not JSON",
        "lacks": r"damaged: metrics\.json: it lacks data, data_fingerprint",
        "no_predictions": r"damaged: predictions\.npz: there is no such file",
        "damaged": r"damaged: predictions\.npz: it cannot be read",
    }
    assert reasons.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.match(pattern, reasons[name]), f"{name}: {reasons[name]}"


def test_a_repeated_job_is_counted_once(tmp_path):
    for name in ("first", "again"):
        folder = write_run(tmp_path / name)
        (folder / "status.json").write_text('{"state": "finished", "identity": "same"}')
    runs = read_runs([tmp_path])
    assert len(runs.table) == 1
    assert "counted once" in runs.skipped[0][1]


def test_nothing_to_report_is_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"no finished run below .*none found"):
        read_runs([tmp_path])
    write_run(tmp_path / "running", state="running")
    with pytest.raises(InputError, match=r"no finished run below .*running: unfinished: epoch 1 of 2"):
        read_runs([tmp_path])


AUGMENTATIONS = [
    (None, "none"),
    ({"rotate": 0.0, "fill": "zeros"}, "none"),
    ({"rotate": 10.0, "shift": 0.1, "zoom": 0.1, "flip_horizontal": False, "fill": "zeros"}, "affine"),
    ({"rotate": 15.0, "fill": "nearest"}, "rotate=15 nearest"),
]


@pytest.mark.parametrize(("augment", "text"), AUGMENTATIONS)
def test_an_augmentation_has_the_name_of_its_preset_or_of_its_settings(augment, text):
    assert augment_name(augment) == text


# -- the images of a run -----------------------------------------------------------------------------------------------


def write_run_on(folder: Path, config: dict, **fields) -> Path:
    """Write a run folder with a recorded config and the fingerprint of its data."""
    data = load_configured(config)
    write_run(folder, **{"data": data.name, "data_fingerprint": data.fingerprint} | fields)
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    return folder


def test_the_images_of_a_run_are_loaded_with_its_settings(tmp_path):
    config = {"data": {"name": "stripes", "val_size": 8, "normalize": False, "train": 100}}
    run = read_runs([write_run_on(tmp_path / "run", config)]).table.iloc[0]
    run["labels"] = np.arange(40) % 10
    data = load_data(run)
    assert (data.val_size, data.normalize, len(data.labels("train"))) == (8, False, 92)


WHERE_NOT = [  # what differs, the error
    ({"data_fingerprint": "0" * 16}, "the images of stripes in .* are not those that run used"),
    ({"data": "my_own"}, "unknown data"),
]


@pytest.mark.parametrize(("fields", "message"), WHERE_NOT, ids=["other images", "unknown data set"])
def test_images_that_are_not_those_of_the_run_are_refused(tmp_path, fields, message):
    run = read_runs([write_run_on(tmp_path / "run", {"data": {"name": "stripes"}}, **fields)]).table.iloc[0]
    with pytest.raises(InputError, match=message):
        load_data(run)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_compare_returns_means_and_intervals_over_seeds(tmp_path):
    for seed, wrong in enumerate([range(2), range(4), range(6)]):  # test accuracies 0.99, 0.98, 0.97
        write_run(tmp_path / str(seed), seed=seed, wrong=wrong)
    row = compare(read_runs([tmp_path]).table).iloc[0]
    assert (row["n"], row["test_acc"], row["fit_seconds"]) == (3, pytest.approx(0.98), 4.0)
    assert row["test_acc_half"] == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-6)
    assert row["seed_sd"] == pytest.approx(0.01)
    assert row["sampling_se"] == pytest.approx((0.98 * 0.02 / 200) ** 0.5), "noise of the test images"


def found_significance(tmp_path):
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    return significance(runs.table, runs.predicted, runs.labels)


def test_a_difference_must_hold_for_other_seeds_and_images(tmp_path):
    for seed in (0, 1, 2):
        write_run(tmp_path / f"good{seed}", model="cnn", seed=seed, wrong=[seed])
        write_run(tmp_path / f"bad{seed}", model="mlp", seed=seed, wrong=range(10, 40 + seed))
    found = found_significance(tmp_path)
    pair = found.pairs.iloc[0]
    assert (pair["only_first"], pair["only_second"]) == (30, 1)
    assert pair["conclusion"] == "cnn is better" and pair["p"] < 0.001
    assert pair["difference"] == pytest.approx(0.15) and 0.03 < pair["half"] < 0.08
    assert found.cochran.p < 1e-6


def test_one_better_seed_does_not_make_a_better_model(tmp_path):
    for seed, (good, bad) in enumerate([(0, 30), (20, 0), (8, 10)]):
        write_run(tmp_path / f"good{seed}", model="cnn", seed=seed, wrong=range(good))
        write_run(tmp_path / f"bad{seed}", model="mlp", seed=seed, wrong=range(100, 100 + bad))
    found = found_significance(tmp_path)
    assert found.pairs["conclusion"].tolist() == ["undecided"]
    assert found.pairs["p_networks"].item() < 1e-6, "though these two networks differ"
    assert [seeds for _, seeds in found.plan] == [None] * 3, "200 images are too few for half a point"


def test_one_seed_says_nothing_about_configurations(tmp_path):
    write_run(tmp_path / "a", model="cnn")
    write_run(tmp_path / "b", model="mlp", wrong=range(50))
    found = found_significance(tmp_path)
    assert found.pairs["conclusion"].tolist() == ["undecided: one seed"] and found.plan == []
    assert found.pairs[["half", "p", "p_equivalent", "detectable"]].isna().all(axis=None)
    assert found.pairs["p_networks"].item() < 1e-6, "the two networks differ"


def test_equal_networks_are_equivalent(tmp_path):
    for seed in (0, 1, 2):
        for model in ("cnn", "mlp"):
            write_run(tmp_path / f"{model}{seed}", model=model, seed=seed, wrong=[seed])
    assert found_significance(tmp_path).pairs["conclusion"].tolist() == ["equivalent within 0.2 points"]


def test_frequent_confusions_and_scores_per_class():
    predicted = LABELS.copy()
    predicted[[4, 14, 24, 7]] = 9  # three 4s and one 7 are taken for 9s
    names = [str(digit) for digit in range(10)]
    assert frequent_confusions(LABELS, predicted, names) == ["4 as 9: 3 of 20 (15.0 %)", "7 as 9: 1 of 20 (5.0 %)"]
    report = class_report(LABELS, predicted, names).set_index("class")
    assert report.loc["9", "precision"] == pytest.approx(20 / 24)
    assert report.loc["4", "recall"] == pytest.approx(17 / 20)
    assert report.loc["weighted average", "images"] == 200


# -- published numbers -------------------------------------------------------------------------------------------------


def test_every_published_row_names_a_model_of_the_zoo():
    rows = published_rows()
    assert {row.model for row in rows} <= {*list_models(), *CLASSICAL}
    tested = Counter(row.experiment for row in rows if row.metric == "test_acc")
    assert tested == {
        "architectures": 7, "architectures_diagnosis": 2, "keras_cnn": 2, "dropout": 2, "lr_sweep": 12,
        "lr_sweep_final": 3, "masking": 4, "capsnet": 4, "related": 4,
    }  # fmt: skip


def published(value: str = "98.0", metric: str = "test_acc", **fields) -> Row:
    ours = fields.pop("ours", metric)
    row = Row("lr_sweep", "mlp", "mnist", None, metric, ours, float(value), 0.05, "%", "", "none", ())
    return dataclasses.replace(row, **fields)


def verdict_on(folder: Path, row: Row | None = None):
    """Return the verdict on a published number (98.0 %), as the only comparison."""
    table = read_runs([folder]).table
    return dataclasses.replace(verdict := judge(row or published(), table), corrected=verdict.p)


VERDICTS = [  # misclassified of 200 test images of each seed; the verdict on 98.0 %
    ([range(2), range(4), range(6)], "agrees"),
    ([range(1), range(1), range(1)], "ours is above"),
    ([range(20), range(20), range(20)], "ours is below"),
    ([range(20), range(21), range(22)], "ours is below"),
    ([range(6)], "not comparable: one seed, and no comparable configuration with several"),
    ([range(2), range(2), range(180)], "not comparable: our seeds are too far apart, because some fail to learn"),
]


@pytest.mark.parametrize(("wrong", "words"), VERDICTS)
def test_the_verdict_on_a_published_accuracy(tmp_path, wrong, words):
    for seed, images in enumerate(wrong):
        write_run(tmp_path / str(seed), seed=seed, wrong=images, experiment="lr_sweep", overrides=["model=mlp"])
    assert verdict_on(tmp_path).words == words


def test_a_failed_seed_turns_the_interval_into_a_range(tmp_path):
    for seed, images in enumerate([range(2), range(4), range(180)]):
        write_run(tmp_path / str(seed), seed=seed, wrong=images, experiment="lr_sweep")
    table = read_runs([tmp_path]).table
    assert accuracy_cells(next(compare(table).itertuples()))[2] == "10.00 to 99.00"
    verdict = verdict_on(tmp_path)
    assert verdict.ours == "10.00 to 99.00" and count_test_accuracies([verdict])[0] == 0


def test_a_published_number_is_one_run(tmp_path):
    """It is compared with a further run of ours, not with our mean, whose interval shrinks with the number of seeds."""
    for seed in range(8):  # 0.98 and 0.99
        write_run(tmp_path / str(seed), seed=seed, wrong=range(2 + 2 * (seed % 2)), experiment="lr_sweep")
    verdict = verdict_on(tmp_path)
    mean, half = mean_interval(np.tile([99.0, 98.0], 4))
    assert mean - half > 98.05 and verdict.low < 98 and verdict.words == "agrees"


def test_a_perfect_replicate_agrees_as_often_as_stated(tmp_path):
    rng = np.random.default_rng(0)
    names = ["test_acc", "n_test", "label", "data", "split", "device", "experiment", "overrides"]
    outside = 0
    for _ in range(1000):
        *ours, theirs = rng.normal(99.0, 0.08, 6)
        rows = [(each / 100, 10_000, "mlp", "mnist", "fixed", "cpu", "lr_sweep", []) for each in ours]
        outside += judge(published(theirs, half_unit=0.0), pd.DataFrame(rows, columns=names)).p < 0.05
    assert outside / 1000 == pytest.approx(0.05, abs=0.015)


def test_few_seeds_share_the_spread_of_comparable_configurations(tmp_path):
    write_run(tmp_path / "one", wrong=range(5), experiment="lr_sweep", lr=0.02)
    for seed in range(3):
        write_run(tmp_path / f"like{seed}", seed=seed, wrong=range(3 + seed), experiment="lr_sweep", lr=0.01)
        write_run(tmp_path / f"worse{seed}", seed=seed, wrong=range(30 + seed), experiment="lr_sweep", lr=0.1)
    groups = [runs for _, runs in read_runs([tmp_path]).table.groupby("lr")]
    one = next(runs for runs in groups if len(runs) == 1)
    alone, shared = judge(published(), one), judge(published(), one, groups)
    assert alone.reason and math.isnan(alone.low), "one seed has no spread"
    assert shared.reason is None and shared.low < 97.5 < shared.high
    assert shared.remark == "spread pooled with mlp lr=0.01"
    three = [runs for runs in groups if runs["lr"].iloc[0] == 0.01]
    assert judge(published(), three[0], groups).remark == "", "the configuration with six times the errors is not alike"


def test_intervals_stay_in_their_range(tmp_path):
    for seed in range(3):
        write_run(tmp_path / str(seed), seed=seed, wrong=[] if seed else [4, 14], experiment="lr_sweep")
    share = verdict_on(tmp_path)
    assert 0 <= share.low < share.mean < share.high <= 100
    count = verdict_on(tmp_path, published("3", "confusions_4_as_5", unit="images", half_unit=0.0))
    assert count.low == 0 and count.mean == pytest.approx(2 / 3) and count.high > 2


def test_verdicts_are_corrected_for_their_number(tmp_path):
    for lr in (0.02, 0.01, 0.0002, 0.0001):
        for seed in range(3):
            folder = tmp_path / f"{lr}-{seed}"
            write_run(folder, seed=seed, wrong=range(4 + seed), experiment="lr_sweep", lr=lr, overrides=[f"lr={lr}"])
    verdicts = [v for v in against_papers([read_runs([tmp_path]).table]) if not v.reason]
    assert len(verdicts) == 12 and {v.compared for v in verdicts} == {12}, "four rates, three accuracies each"
    assert all(v.corrected >= v.p for v in verdicts) and any(v.corrected > v.p for v in verdicts)


def test_like_is_compared_with_like(tmp_path):
    """A paper's running training accuracy with ours of curves.csv, and its best validation accuracy with our best."""
    write_run(tmp_path / "run")
    table = read_runs([tmp_path]).table
    found = {name: float(measured(name, table)[0]) for name in OF_CURVES}
    assert found == pytest.approx({"best_val_acc": 90, "best_running_train_acc": 90, "last_running_train_acc": 90})
    rows = {(row.experiment, row.model, row.metric): row.ours for row in published_rows()}
    assert rows["dropout", "cnn", "val_acc"] == "best_val_acc"
    assert rows["dropout", "cnn", "train_acc"] == "best_running_train_acc"
    assert rows["lr_sweep", "mlp", "train_acc"] == "last_running_train_acc"
    assert rows["architectures", "cnn_2dense", "test_acc"] == "test_acc"


WHY_NOT = [  # the run, the reason
    ({"experiment": None}, "not run with experiment=lr_sweep"),
    ({"experiment": "fast99"}, "not run with experiment=lr_sweep"),
    ({"overrides": ["epochs=2"]}, "run with epochs=2"),
    ({"data": "mnist5k", "overrides": ["data=mnist5k"]}, "trained and tested on mnist5k, not on mnist"),
    ({"overrides": ["trainer=cpu", "data.root=elsewhere", "model=mlp", "seed=0"]}, None),
    ({"overrides": ["speed=none", "+speed.off=[fused]", "on_change=keep", "hydra/launcher=joblib"]}, None),
]


@pytest.mark.parametrize(("run", "reason"), WHY_NOT, ids=[str(row[1]) for row in WHY_NOT])
def test_only_a_repetition_is_compared(tmp_path, run, reason):
    for seed in (0, 1):
        write_run(tmp_path / str(seed), **({"experiment": "lr_sweep", "seed": seed, "wrong": [seed]} | run))
    words = verdict_on(tmp_path).words
    assert words == f"not comparable: {reason}" if reason else "not comparable" not in words


NOT_COUNTED = [  # a published row, why no run of ours can repeat it
    (published(metric="loss", ours="loss"), "the paper does not say of which images"),
    (published(metric="claimed_acc", ours="train_acc"), "the thesis does not say of which images"),
    (published(metric="range_acc", ours="test_acc"), "the paper gives a range for several methods together"),
    (published(experiment="architectures_diagnosis"), "settings fitted to this number"),
]


@pytest.mark.parametrize(("row", "reason"), NOT_COUNTED, ids=[reason for _, reason in NOT_COUNTED])
def test_some_numbers_cannot_be_compared(tmp_path, row, reason):
    write_run(tmp_path / "run", experiment=row.experiment)
    assert why_not_comparable(row, read_runs([tmp_path]).table.iloc[0]) == reason


def test_numbers_of_related_work_are_compared_with_the_defaults(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / str(seed), seed=seed, wrong=[seed])
    assert "not comparable" not in verdict_on(tmp_path, published(experiment="related")).words


def test_a_verdict_names_a_precision_that_is_not_the_default(tmp_path):
    for seed in range(3):
        overrides = ["trainer.precision=bf16-mixed"]
        write_run(tmp_path / str(seed), seed=seed, wrong=range(4), experiment="lr_sweep", overrides=overrides)
    assert verdict_on(tmp_path).words == "agrees; trainer.precision=bf16-mixed"


def test_scores_per_class_are_computed_from_predictions(tmp_path):
    write_run(tmp_path / "run", wrong=[4, 14], experiment="lr_sweep")  # two 4s are taken for 5s
    table = read_runs([tmp_path]).table
    assert judge(published("95", "recall_digit_4"), table).mean == pytest.approx(90.0)
    assert judge(published("95", "precision_digit_5"), table).mean == pytest.approx(100 * 20 / 22)
    assert judge(published("21", "confusions_4_as_5", unit="images"), table).mean == 2


# -- ensembles ---------------------------------------------------------------------------------------------------------


def test_mean_probability_and_majority_can_disagree():
    probabilities = np.array([[[0.6, 0.4, 0.0]], [[0.6, 0.4, 0.0]], [[0.0, 1.0, 0.0]]])
    assert vote(probabilities, "mean probability").argmax() == 1
    assert vote(probabilities, "majority").argmax() == 0
    draw = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
    assert vote(draw, "majority").argmax() == 1, "the mean probability breaks ties"
    with pytest.raises(ValueError, match="unknown vote"):
        vote(draw, "plurality")


def test_members_are_chosen_on_validation(tmp_path):
    # The networks misclassify different images, so that their mean is correct on all. After the change, the third
    # network is wrong on every test image: this must not affect the choice.
    for seed, wrong in enumerate([range(0, 10), range(10, 20), range(20, 30)]):
        write_run(tmp_path / str(seed), seed=seed, wrong=wrong)
    table = read_runs([tmp_path]).table
    predictions = [read_predictions(folder) for folder in table["folder"]]
    before = ensembles(table, predictions)[0]
    predictions[2]["logits"] = -predictions[2]["logits"]
    after = ensembles(table, predictions)[0]
    assert before.chosen
    assert (before.val_acc, before.test_acc) == (1.0, 1.0)
    assert (after.name, after.vote, after.members) == (before.name, before.vote, before.members)
    assert ensembles(table[:1], predictions[:1]) == [], "an ensemble needs two networks"


# -- plots -------------------------------------------------------------------------------------------------------------


def test_a_model_with_one_learning_rate_has_no_plot_of_learning_rates(tmp_path):
    write_run(tmp_path / "a", lr=0.01)
    assert plots.learning_rates(compare(read_runs([tmp_path]).table)) is None
    write_run(tmp_path / "b", lr=0.001)
    (axis,) = plots.learning_rates(compare(read_runs([tmp_path]).table)).axes
    assert axis.get_xlabel() == "learning rate"


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_of_several_configurations_is_complete_and_opens_offline(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", model="cnn", seed=seed, wrong=range(3 + seed))
        for lr in (0.01, 0.001):
            write_run(tmp_path / f"b{lr}{seed}", seed=seed, lr=lr, wrong=range(2, 9 + seed))
    write_run(tmp_path / "running", state="running")
    page = write_report([tmp_path])
    assert page == tmp_path / "report" / "report.html"
    html, markdown = page.read_text(), page.with_suffix(".md").read_text()
    for title in ("Comparison", "Significance", "Curves", "Accuracy against cost", "Ensembles", "Predictions"):
        assert f"<h2>{title}</h2>" in html
        assert f"## {title}" in markdown
    assert not re.search(r"https?:", re.sub(r"base64,[^\"]*", "", html)), "nothing is downloaded"
    assert "running: unfinished: epoch 1 of 2" in html
    shown = re.findall(r"\]\((figures/[^)]*)\)", markdown)
    kinds = {re.sub(r"^[0-9-]*", "", Path(name).stem) for name in shown}
    assert kinds == {
        "accuracies", "rates", "times", "differences", "validation", "loss", "accuracy", "costs", "correlations",
        "confusion", "reliability",
    }  # fmt: skip
    for name in shown:
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    assert html.count("data:image/png;base64,") == len(shown)
    assert "No images shown: " in html, "no data set has the fingerprint of these runs"


def test_a_configuration_that_was_tested_twice_has_a_note(tmp_path):
    write_run(tmp_path / "once", model="cnn", test_evaluations=1)
    page = write_report([tmp_path])
    assert "tested 2 times" not in page.read_text()
    write_run(tmp_path / "twice", test_evaluations=2)
    lines = write_report([tmp_path]).with_suffix(".md").read_text().splitlines()
    (noted,) = [line for line in lines if "training was continued after a test: tested 2 times" in line]
    assert noted.startswith("| mlp ")


def test_a_plot_has_the_same_size_on_every_screen(tmp_path):
    write_run(tmp_path / "run")
    page = write_report([tmp_path])
    (first,) = (page.parent / "figures").glob("*-loss.png")
    pixels = plt.imread(first).shape[1]
    assert f'width="{round(pixels * 96 / FIGURE_DPI)}"' in page.read_text()


def test_published_numbers_are_listed_with_verdicts(tmp_path):
    for seed in range(3):
        asked = ["model=mlp", "lr=0.01"]
        write_run(tmp_path / str(seed), seed=seed, wrong=range(4), experiment="lr_sweep", overrides=asked, lr=0.01)
    page = write_report([tmp_path])
    markdown = page.with_suffix(".md").read_text()
    assert "## Published results" in markdown
    assert "Published test accuracies that these runs repeat: 1; 0 agree with what one further run of ours" in markdown
    assert (
        (page.parent / "published.csv").read_text().startswith("paper,row,data,figure,published,seeds,ours,difference,")
    )


@pytest.mark.slow
def test_runs_of_version_0_1_0_are_reported(tmp_path):
    folders = [FIXTURES / name for name in ("run", "sweeps", "searches")]
    page = write_report(folders, tmp_path)
    markdown = page.with_suffix(".md").read_text()
    assert "- 5 finished runs of 5 configurations, 1 seed each." in markdown
    assert "## Search: dropout" in markdown and "## Left out" not in markdown
    (run,) = (run for _, run in read_runs(folders[:1]).table.iterrows())
    assert load_data(run).fingerprint == run["data_fingerprint"]


@pytest.mark.slow
def test_a_study_has_a_section(tmp_path):
    study = tmp_path / "mine"
    for number in (0, 1):
        write_run(study / "trials" / str(number), lr=0.01 / (number + 1), wrong=range(3 + number))
    write_run(study / "trials" / "2", state="failed")
    (study / "trials.csv").write_text(
        "number,value,datetime_start,params_lr,state\n0,0.985,x,0.01,COMPLETE\n1,0.98,x,0.005,COMPLETE\n2,,x,1,FAIL\n"
    )
    page = write_report([study])
    assert "Search: mine" in page.read_text(), "also without plots"
    for name in ("history", "importances", "slices", "curves"):
        figure, _ = plt.subplots()
        figure.savefig(study / f"{name}.png")
        plt.close(figure)
    markdown = write_report([tmp_path]).with_suffix(".md").read_text()
    assert "- 2 finished runs of 2 configurations, 1 seed each; 1 left out (listed at the end)" in markdown
    assert "3 trials: 2 complete, 1 fail. Best on validation: trial 0, 98.50 %: lr=0.01." in markdown
    assert "| 0 | COMPLETE | 98.50 | 0.01 |" in markdown and "| 2 | FAIL | - | 1 |" in markdown
    shown = re.findall(r"\]\((figures/[^)]*-(?:history|importances|slices|curves)\.png)\)", markdown)
    assert [re.sub(r".*-|\.png", "", name) for name in shown] == ["history", "importances", "slices", "curves"]
    for name in shown:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_the_command_says_where_it_wrote(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "run", wrong=range(3))
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path / "run"), "--out", str(tmp_path / "out")])
    report.main()
    assert f"report: {tmp_path}/out/report.html" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Significance" not in page, "a single run has nothing to compare with"


REFUSED = [  # arguments, the error
    (["nowhere"], "error: there is no folder nowhere: name a sweep or a run folder below outputs/\n"),
    (["run", "--out", "file"], "error: cannot write to file (Not a directory): choose another folder with --out DIR\n"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=["folder", "out"])
def test_an_error_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["report", *arguments])
    with pytest.raises(SystemExit) as stopped:
        report.main()
    assert (stopped.value.code, capsys.readouterr().err) == (1, message)


@pytest.mark.slow
def test_the_command_runs_without_warnings(tmp_path, command):
    write_run(tmp_path / "run", wrong=range(3))
    done = command(str(tmp_path / "run"), module="mnist_zoo.report")
    assert (done.returncode, done.stderr) == (0, "")
