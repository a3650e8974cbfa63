"""The report: which runs it takes, what it says of them, and what stands on the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mnist_zoo.errors import InputError
from mnist_zoo.plots.images import image_grid
from mnist_zoo.report import compare, group_by_images, read_runs, significance, vote, write_report
from mnist_zoo.report.ensembles import ensembles
from mnist_zoo.report.published import Row, judge, published_rows
from mnist_zoo.report.tables import accuracy_cells, class_report, count_test_accuracies, frequent_confusions

LABELS = np.arange(200) % 10


def write_run(folder: Path, *, wrong=(), seed=0, experiment=None, overrides=(), state="finished", **fields) -> Path:
    """Write a run folder whose network errs on the test (and validation) images `wrong`, taking each for the next."""
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


def test_runs_that_differ_in_the_seed_alone_are_one_configuration(tmp_path):
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
    }, "a label says what tells it from the other configurations of its model, and no more"


def test_every_folder_that_cannot_be_used_has_its_reason(tmp_path):
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
    expected = {
        "running": "unfinished: epoch 1 of 2",
        "failed": "failed: DivergedError: val_loss became nan",
        "cut": "broken: metrics.json is not a JSON object",
        "lacks": "broken: metrics.json lacks data",
        "no_predictions": "broken: predictions.npz is missing",
        "damaged": "broken:.*cannot be read",
    }
    assert reasons.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.match(pattern, reasons[name]), f"{name}: {reasons[name]}"


def test_the_same_job_is_counted_once(tmp_path):
    for name in ("first", "again"):
        folder = write_run(tmp_path / name)
        (folder / "status.json").write_text('{"state": "finished", "identity": "same"}')
    runs = read_runs([tmp_path])
    assert len(runs.table) == 1
    assert "counted once" in runs.skipped[0][1]


def test_nothing_to_report_is_one_line(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"no finished run below .*none found"):
        read_runs([tmp_path])
    write_run(tmp_path / "running", state="running")
    with pytest.raises(InputError, match=r"no finished run below .*running: unfinished: epoch 1 of 2"):
        read_runs([tmp_path])


# -- tables ------------------------------------------------------------------------------------------------------------


def test_compare_gives_means_and_intervals_over_seeds(tmp_path):
    for seed, wrong in enumerate([range(2), range(4), range(6)]):  # test accuracies 0.99, 0.98, 0.97
        write_run(tmp_path / str(seed), seed=seed, wrong=wrong)
    row = compare(read_runs([tmp_path]).table).iloc[0]
    assert (row["n"], row["test_acc"], row["fit_seconds"]) == (3, pytest.approx(0.98), 4.0)
    assert row["test_acc_half"] == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-6)
    assert row["seed_sd"] == pytest.approx(0.01)
    assert row["sampling_se"] == pytest.approx((0.98 * 0.02 / 200) ** 0.5), "the other noise"


def found_significance(tmp_path):
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    return significance(runs.table, runs.predicted, runs.labels)


def test_a_difference_is_resolved_when_images_and_seeds_say_so(tmp_path):
    for seed in (0, 1, 2):
        write_run(tmp_path / f"good{seed}", model="cnn", seed=seed, wrong=[seed])
        write_run(tmp_path / f"bad{seed}", model="mlp", seed=seed, wrong=range(10, 40 + seed))
    found = found_significance(tmp_path)
    pair = found.pairs.iloc[0]
    assert (pair["only_first"], pair["only_second"]) == (30, 1)
    assert pair["conclusion"] == "cnn is better"
    assert found.cochran.p < 1e-6


def test_one_lucky_network_is_no_better_model(tmp_path):
    for seed, (good, bad) in enumerate([(0, 30), (20, 0), (8, 10)]):
        write_run(tmp_path / f"good{seed}", model="cnn", seed=seed, wrong=range(good))
        write_run(tmp_path / f"bad{seed}", model="mlp", seed=seed, wrong=range(100, 100 + bad))
    assert found_significance(tmp_path).pairs["conclusion"].tolist() == [
        "not resolved: significant over images, but not over seeds"
    ]


def test_five_images_resolve_nothing(tmp_path):
    write_run(tmp_path / "a", model="cnn")
    write_run(tmp_path / "b", model="mlp", wrong=range(5))
    found = found_significance(tmp_path)
    assert found.pairs["conclusion"].tolist() == ["not resolved"]
    assert found.pairs["smallest"].tolist() == [np.inf]


def test_confusions_in_words_and_scores_a_class():
    predicted = LABELS.copy()
    predicted[[4, 14, 24, 7]] = 9  # three fours and a seven as nines
    names = [str(digit) for digit in range(10)]
    assert frequent_confusions(LABELS, predicted, names) == ["4 as 9: 3 of 20 (15.0 %)", "7 as 9: 1 of 20 (5.0 %)"]
    report = class_report(LABELS, predicted, names).set_index("class")
    assert report.loc["9", "precision"] == pytest.approx(20 / 24)
    assert report.loc["4", "recall"] == pytest.approx(17 / 20)
    assert report.loc["weighted average", "images"] == 200


# -- beside the papers -------------------------------------------------------------------------------------------------


def test_every_published_row_names_a_model_and_the_masking_rows_wait():
    from mnist_zoo import list_models

    rows = published_rows()
    assert {row.model for row in rows} <= set(list_models())
    assert "masking" not in {row.experiment for row in rows}
    assert sum(row.metric == "test_acc" for row in rows) == 7 + 1 + 2 + 12 + 3


def published(value: str = "98.0", metric: str = "test_acc") -> Row:
    return Row("lr_sweep", "mlp", "mnist", None, metric, float(value), 0.05, "%", "", "none", ())


VERDICTS = [  # test images wrong, by seed; the verdict beside 98.0 %
    ([range(2), range(4), range(6)], "inside our interval"),
    ([range(1), range(1), range(1)], "ours is above"),
    ([range(20), range(20), range(20)], "ours is below"),
    ([range(6)], r"inside our interval \(one seed: interval of drawing the images\)"),
    ([range(2), range(2), range(180)], "not resolved: our seeds are too far apart"),
]


@pytest.mark.parametrize(("wrong", "words"), VERDICTS, ids=[row[1] for row in VERDICTS])
def test_the_verdict_beside_a_published_accuracy(tmp_path, wrong, words):
    for seed, images in enumerate(wrong):
        write_run(tmp_path / str(seed), seed=seed, wrong=images, experiment="lr_sweep", overrides=["model=mlp"])
    assert re.fullmatch(words, judge(published(), read_runs([tmp_path]).table).words)


def test_seeds_of_which_one_failed_are_told_by_their_range(tmp_path):
    for seed, images in enumerate([range(2), range(4), range(180)]):
        write_run(tmp_path / str(seed), seed=seed, wrong=images, experiment="lr_sweep")
    table = read_runs([tmp_path]).table
    assert accuracy_cells(next(compare(table).itertuples()))[2] == "10.00 to 99.00"
    verdict = judge(published(), table)
    assert verdict.ours == "10.00 to 99.00"
    assert count_test_accuracies([verdict]) == (
        1,
        "our 95 % interval covers 0, lies above 0 and below 0; 1 not resolved, because some seeds fail to learn",
    )


def test_just_outside_the_interval_may_still_be_within_what_single_runs_vary(tmp_path):
    for seed in range(8):  # accuracies 0.98 and 0.99: the interval of the mean is narrow, that of a single run is not
        write_run(tmp_path / str(seed), seed=seed, wrong=range(2 + 2 * (seed % 2)), experiment="lr_sweep")
    assert judge(published(), read_runs([tmp_path]).table).words == "ours is above, within what single runs vary"


WHY_NOT = [  # what the run was, the reason
    ({"experiment": None}, "not run with experiment=lr_sweep"),
    ({"overrides": ["epochs=2"]}, "run with epochs=2"),
    ({"data": "mnist5k", "overrides": ["data=mnist5k"]}, "trained and tested on mnist5k, not on mnist"),
    ({"overrides": ["trainer=cpu", "data.root=elsewhere", "model=mlp", "seed=0"]}, None),
]


@pytest.mark.parametrize(("run", "reason"), WHY_NOT, ids=[str(row[1]) for row in WHY_NOT])
def test_what_is_no_repetition_is_not_compared(tmp_path, run, reason):
    write_run(tmp_path / "run", **({"experiment": "lr_sweep"} | run))
    words = judge(published(), read_runs([tmp_path]).table).words
    assert words == f"not comparable: {reason}" if reason else "not comparable" not in words


def test_a_verdict_names_the_precision_that_is_not_the_default(tmp_path):
    for seed in range(3):
        overrides = ["trainer.precision=bf16-mixed"]
        write_run(tmp_path / str(seed), seed=seed, wrong=range(4), experiment="lr_sweep", overrides=overrides)
    assert judge(published(), read_runs([tmp_path]).table).words == "inside our interval; trainer.precision=bf16-mixed"


def test_scores_that_only_predictions_give_are_computed_from_them(tmp_path):
    write_run(tmp_path / "run", wrong=[4, 14], experiment="lr_sweep")  # two fours as fives
    table = read_runs([tmp_path]).table
    assert judge(published("95", "recall_digit_4"), table).mean == pytest.approx(90.0)
    assert judge(published("95", "precision_digit_5"), table).mean == pytest.approx(100 * 20 / 22)
    assert judge(published("21", "confusions_4_as_5"), table).mean == 2


# -- ensembles ---------------------------------------------------------------------------------------------------------


def test_votes_by_hand():
    probabilities = np.array([[[0.6, 0.4, 0.0]], [[0.6, 0.4, 0.0]], [[0.0, 1.0, 0.0]]])
    assert vote(probabilities, "mean probability").argmax() == 1
    assert vote(probabilities, "majority").argmax() == 0
    draw = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
    assert vote(draw, "majority").argmax() == 1, "a draw goes to the higher mean probability"
    with pytest.raises(ValueError, match="unknown vote"):
        vote(draw, "plurality")


def test_members_are_chosen_on_validation(tmp_path):
    from mnist_zoo.report import read_predictions

    # Each network errs elsewhere: together they are right. The test labels of the third are all wrong, and must not
    # matter for the choice.
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
    assert ensembles(table[:1], predictions[:1]) == [], "one network is no ensemble"


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
    assert "http" not in re.sub(r"base64,[^\"]*", "", html), "nothing is fetched"
    assert "running: unfinished: epoch 1 of 2" in html
    shown = re.findall(r"\]\((figures/[^)]*)\)", markdown)
    kinds = {re.sub(r"^[0-9-]*", "", Path(name).stem) for name in shown}
    assert kinds == {
        "rates", "times", "differences", "validation", "loss", "accuracy", "costs", "correlations", "confusion",
        "reliability",
    }  # fmt: skip
    for name in shown:
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    assert html.count("data:image/png;base64,") == len(shown)
    assert "No images shown: " in html, "these runs' images do not exist, and the page says so"


def test_a_row_whose_test_set_was_looked_at_twice_has_a_note(tmp_path):
    write_run(tmp_path / "once", model="cnn", test_evaluations=1)
    page = write_report([tmp_path])
    assert "tested 2 times" not in page.read_text()
    write_run(tmp_path / "twice", test_evaluations=2)
    lines = write_report([tmp_path]).with_suffix(".md").read_text().splitlines()
    (noted,) = [line for line in lines if "a finished run trained on: tested 2 times" in line]
    assert noted.startswith("| mlp ")


def test_a_study_is_shown_with_the_networks_it_tried(tmp_path):
    study = tmp_path / "mine"
    for number in (0, 1):
        write_run(study / "trials" / str(number), lr=0.01 / (number + 1), wrong=range(3 + number))
    write_run(study / "trials" / "2", state="failed")
    (study / "trials.csv").write_text(
        "number,value,datetime_start,params_lr,state\n0,0.985,x,0.01,COMPLETE\n1,0.98,x,0.005,COMPLETE\n2,,x,1,FAIL\n"
    )
    page = write_report([study])
    assert "Search: mine" in page.read_text(), "also without figures"
    for name in ("history", "importances", "slices", "curves"):
        figure, _ = plt.subplots()
        figure.savefig(study / f"{name}.png")
        plt.close(figure)
    markdown = write_report([tmp_path]).with_suffix(".md").read_text()
    assert "- 2 finished runs of 2 configurations, 1 seed each; 1 left out (listed at the end)" in markdown
    assert "3 trials: 2 complete, 1 fail. Best on validation: trial 0, 98.50 %: lr=0.01." in markdown
    assert "| 0 | COMPLETE | 98.50 | 0.01 |" in markdown and "| 2 | FAIL | - | 1.0 |" in markdown
    shown = re.findall(r"\]\((figures/[^)]*-(?:history|importances|slices|curves)\.png)\)", markdown)
    assert [re.sub(r".*-|\.png", "", name) for name in shown] == ["history", "importances", "slices", "curves"]
    for name in shown:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_the_command_says_where_it_wrote_and_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "mnist_zoo.report"]
    refused = subprocess.run([*command, str(tmp_path / "typo")], capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == f"error: there is no folder {tmp_path}/typo: name a sweep or a run folder below outputs/\n"
    write_run(tmp_path / "run", wrong=range(3))
    done = subprocess.run(
        [*command, str(tmp_path / "run"), "--out", str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"report: {tmp_path}/out/report.html" in done.stdout
    assert "Significance" not in (tmp_path / "out" / "report.html").read_text(), "one run has nothing to differ from"


def test_the_images_tab_of_tensorboard_shows_predictions():
    from mnist_zoo.plots.tensorboard import log_figures

    class Writer(dict):
        def add_figure(self, tag, figure):
            self[tag] = figure

    logits = np.eye(10, dtype=np.float32)[LABELS]
    logits[3] = logits[4]  # a three as a four
    writer = Writer()
    log_figures(writer, np.zeros((200, 1, 28, 28), np.uint8), LABELS, logits, [str(digit) for digit in range(10)])
    assert list(writer) == ["test/confusion_matrix", "test/predictions", "test/errors"]
    assert [text.get_text() for text in writer["test/errors"].axes[0].texts] == ["4\ntrue: 3"]
    assert "4\ntrue: 3" in [text.get_text() for text in writer["test/predictions"].axes[0].texts]


def test_a_grid_shows_every_image_under_its_caption():
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 4), np.uint8)
    (axis,) = image_grid(images, ["a", "b\ntrue: c", "d"], [False, True, False], columns=2).axes
    for image, shown, text, caption in zip(images, axis.images, axis.texts, ["a", "b\ntrue: c", "d"], strict=True):
        left, right, bottom, top = shown.get_extent()
        x, y = text.get_position()
        assert text.get_text() == caption and left < x < right and y < top < bottom, "y grows downwards"
        assert (np.asarray(shown.get_array()) == image[0]).all()
    first, second, third = (shown.get_extent() for shown in axis.images)
    assert first[1] < second[0] and first[2] < third[3] and first[:2] == third[:2], "no image covers another"
    assert axis.texts[0].get_color() != axis.texts[1].get_color()
