"""What a report says of runs that cannot simply be compared: repeated seeds, other settings, machines and lengths."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from test_report import LABELS, write_run
from test_robustness_report import add

from mnist_zoo.report import compare, group_by_images, read_runs
from mnist_zoo.report.comparison import comparison
from mnist_zoo.report.data_size import data_size_sections
from mnist_zoo.report.exploring import page_data
from mnist_zoo.report.figures import learning_rates
from mnist_zoo.report.page import facts, section_names
from mnist_zoo.report.published import Row, measured
from mnist_zoo.report.sections import shared_sections, significance_sentences
from mnist_zoo.report.summary import answer, trainings_sentence
from mnist_zoo.report.transfer import transfer_sections
from mnist_zoo.report.verdicts import judge

NO_NETWORK = {
    **dict.fromkeys(("lr", "batch_size", "epochs", "epochs_run", "num_params", "flops")),
    **{"optimizer": None, "scheduler": None, "augment": None, "train_images_per_second": None},
}


def sentences(folder) -> str:
    """Return what the first screen says of runs on the same images."""
    (runs,), _ = group_by_images(read_runs([folder]).table)
    return " ".join(answer(runs).sentences)


def classical(folder, **fields) -> None:
    """Write a run of a classical model, which has neither epochs nor a learning rate."""
    write_run(folder, model="knn", config={"data": {"normalize": True}}, **{"fitted_bytes": 1000, **fields})
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({k: v for k, v in metrics.items() if k not in NO_NETWORK}))
    (folder / "curves.csv").unlink()


# -- seeds -------------------------------------------------------------------------------------------------------------


def test_a_seed_counts_once_even_if_it_ran_on_two_machines_or_versions(tmp_path):
    """Twice the same seed is no second sample: the interval over seeds would be far too narrow."""
    for number, (device, identity) in enumerate([("a cpu", "one"), ("an H200", "two"), ("a cpu", "three")]):
        folder = write_run(tmp_path / f"{number}", seed=number // 2, device=device, wrong=[number])
        (folder / "status.json").write_text(json.dumps({"state": "finished", "identity": identity}))
    runs = read_runs([tmp_path])
    assert runs.table["seed"].tolist() == [0, 1] and compare(runs.table)["n"].tolist() == [2]
    ((folder, reason),) = runs.skipped
    assert folder.name == "1" and reason == f"repeats {tmp_path / '0'} (equal settings and seed): counted once"


def test_a_seed_of_many_digits_is_shown_as_it_is(tmp_path):
    write_run(tmp_path / "run", seed=1234567)
    assert [run["seed"] for run in page_data(group_by_images(read_runs([tmp_path]).table)[0])["runs"]] == [1234567]


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ({"cnn": 1, "mlp": 1}, "With one seed each, it is not resolved"),
        ({"cnn": 1, "mlp": 3}, "With one seed of cnn, it is not resolved"),
        ({"cnn": 3, "mlp": 1}, "With one seed of mlp, it is not resolved"),
        ({"cnn": 3, "mlp": 1, "lenet5": 1}, "With one seed of each other configuration, it is not resolved"),
    ],
)
def test_the_answer_says_which_configuration_has_one_seed(tmp_path, seeds, sentence):
    for model, count in seeds.items():
        for seed in range(count):
            write_run(tmp_path / f"{model}{seed}", model=model, seed=seed, wrong=[] if model == "cnn" else [seed, 9])
    assert sentence in sentences(tmp_path)


def test_accuracies_on_other_data_stand_beside_those_of_the_same_seeds(tmp_path):
    for seed in range(3):
        folder = write_run(tmp_path / str(seed), seed=seed, wrong=range(20 * seed))
        if seed < 2:
            add(folder, "clean", {"accuracy": 0.5, "loss": 1.0}, of=("svhn", "1" * 16))
        if seed == 0:
            add(folder, "clean", {"accuracy": 0.25, "loss": 1.0}, of=("kmnist", "2" * 16))
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    row = transfer_sections(runs)[0].blocks[0].content.iloc[0]
    assert row["seeds"] == 2 and row["own"] == "90.00 to 100.00", "the third seed was not measured on other data"
    assert row["svhn (1,000 images)"] == "50.00 ± 0.00" and row["kmnist (1,000 images)"] == "25.00 (1 of 2 seeds)"


# -- ties --------------------------------------------------------------------------------------------------------------


def test_the_answer_names_configurations_that_are_as_good(tmp_path):
    for model, wrong in (("cnn", [1]), ("lenet5", [2, 3]), ("mlp", [4])):
        write_run(tmp_path / model, model=model, wrong=wrong)
    assert "cnn is best on validation (as is mlp). It classifies" in sentences(tmp_path)


def test_the_best_single_network_is_the_same_in_all_of_a_sentence(tmp_path):
    """Of networks with equal validation accuracy that with the lower loss is the best, as for epochs."""
    write_run(tmp_path / "0", seed=0, wrong=[0], val_loss=0.4)
    folder = write_run(tmp_path / "1", seed=1, wrong=[1], val_loss=0.1, test_acc=1.0)
    arrays = dict(np.load(folder / "predictions.npz"))
    certain = {"val_logits": 2 * arrays["val_logits"], "logits": 3 * np.eye(10, dtype=np.float32)[LABELS]}
    np.savez(folder / "predictions.npz", **arrays | certain)
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    text = _ensemble_text(runs)
    assert "that of its best member on validation 100.00 %" in text
    assert "The best single network on validation (mlp seed=1) has 100.00 %" in text


def _ensemble_text(runs) -> str:
    (section,) = [each for each in shared_sections(runs) if each.title == "Ensembles"]
    return section.blocks[0].content


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_that_differ_without_being_named_are_named_in_the_answer(tmp_path):
    """A label has only what differs between the configurations of its model: "mlp" may be trained unlike "cnn"."""
    write_run(tmp_path / "cnn", model="cnn", model_options={"dense": [64]})
    write_run(tmp_path / "lenet5", model="lenet5", model_options={})
    other = {"batch_size": 512, "epochs": 20, "optimizer": {"name": "sgd", "momentum": 0.9}}
    write_run(tmp_path / "mlp", **other)
    classical(tmp_path / "knn")
    text = sentences(tmp_path)
    assert (
        "Settings differ that the names do not tell: batch_size: 64 (cnn and lenet5), 512 (mlp); epochs: 2 (cnn and "
        "lenet5), 20 (mlp); optimizer: adam (cnn and lenet5), sgd (mlp)." in text
    )


def test_settings_that_the_names_tell_are_not_repeated(tmp_path):
    for size in (64, 128):
        write_run(tmp_path / f"mlp{size}", batch_size=size)
    write_run(tmp_path / "cnn", model="cnn", batch_size=64, model_options={"dense": [64]})
    assert "Settings differ that the names do not tell: batch_size: 64 (cnn)." in sentences(tmp_path)
    assert "do not tell" not in sentences_of(tmp_path, "mlp")


def sentences_of(folder, model: str) -> str:
    table = read_runs([folder]).table
    (runs,), _ = group_by_images(table[table["model"] == model])
    return " ".join(answer(runs).sentences)


def test_runs_on_several_folds_have_sections_that_can_be_told_apart(tmp_path):
    for fold in range(2):
        folder = write_run(tmp_path / str(fold), data_fingerprint=str(fold) * 16)
        arrays = dict(np.load(folder / "predictions.npz"))
        np.savez(folder / "predictions.npz", **arrays | {f"val_{key}": np.roll(arrays[f"val_{key}"], fold, axis=0)
                                                         for key in ("labels", "logits")})  # fmt: skip
    write_run(tmp_path / "other", data="fashion_mnist", data_fingerprint="f" * 16)
    sets, _ = group_by_images(read_runs([tmp_path]).table)
    assert section_names(sets) == ["fashion_mnist", "mnist, split 1 of 2", "mnist, split 2 of 2"] and section_names(
        sets[:1]
    ) == [""]


# -- machines ----------------------------------------------------------------------------------------------------------


def test_a_mean_over_machines_names_all_of_them(tmp_path):
    write_run(tmp_path / "a", seed=0, device="a cpu")
    write_run(tmp_path / "b", seed=1, device="an H200")
    write_run(tmp_path / "c", seed=0, model="cnn", device="an H200", fit_seconds=1.0, wrong=[1])
    assert compare(read_runs([tmp_path]).table)["device"].tolist() == ["a cpu, an H200", "an H200"]
    assert "of training on a cpu, an H200; cnn trains fastest (1 s on an H200)" in sentences(tmp_path)


def test_the_time_of_a_stacked_job_is_not_taken_for_its_own(tmp_path):
    write_run(tmp_path / "a", fit_seconds=90.0, speed=["stacked", "fused"])
    write_run(tmp_path / "b", model="cnn", fit_seconds=60.0, wrong=[1])
    table = read_runs([tmp_path]).table
    text = sentences(tmp_path)
    assert "trains fastest" not in text and "on a cpu, the time of a whole stack of jobs." in text
    note = "The time of a stacked job is that of its whole stack: mlp."
    blocks = comparison(table, []).blocks
    assert note in blocks[1].caption and note in blocks[-1].caption and blocks[-1].name == "times"
    alone = comparison(table[table["model"] == "cnn"], []).blocks
    assert not any("stack" in block.caption for block in alone)


# -- length ------------------------------------------------------------------------------------------------------------


def test_a_power_law_of_classical_models_speaks_of_no_epochs(tmp_path):
    for size in (100, 1000, 4000):
        classical(tmp_path / str(size), n_train=size, data_fingerprint=f"{size:016d}", wrong=range(4000 // size))
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    (section,) = data_size_sections(runs)
    assert [block.kind for block in section.blocks] == ["figure", "table"]


def test_the_sentence_on_trainings_says_of_which_runs_it_speaks(tmp_path):
    write_run(tmp_path / "mlp")
    classical(tmp_path / "knn")
    assert trainings_sentence(read_runs([tmp_path]).table) == [
        "The run with several epochs had converged and did not overfit, by the validation loss."
    ]


# -- tables ------------------------------------------------------------------------------------------------------------


def test_an_accuracy_without_label_errors_is_a_range_where_the_others_are(tmp_path):
    for seed, wrong in enumerate(([], range(150))):
        write_run(tmp_path / str(seed), seed=seed, wrong=wrong)
    table = read_runs([tmp_path]).table.assign(clean_test_acc=[1.0, 0.26])
    row = comparison(table, []).blocks[0].content.iloc[0]
    assert (row["test"], row["clean test"]) == ("25.00 to 100.00", "26.00 to 100.00")


def test_sizes_beyond_the_first_are_counted(tmp_path):
    for size in range(1, 9):
        write_run(tmp_path / str(size), n_train=size, data_fingerprint=f"{size:016d}")
    found = facts(read_runs([tmp_path]).table, 0)
    assert "And 3 more of such splits." in found


def test_a_difference_that_no_test_can_find_is_not_stated_in_points(tmp_path):
    for model, wrongs in (("mlp", (0, 180)), ("cnn", (0, 190))):
        for seed, wrong in enumerate(wrongs):
            write_run(tmp_path / f"{model}{seed}", model=model, seed=seed, wrong=range(wrong))
    (runs,), _ = group_by_images(read_runs([tmp_path]).table)
    text = " ".join(significance_sentences(runs.significance))
    assert "no true difference is found with a probability of 80 % (median over pairs)" in text


def test_learning_rates_on_several_data_sets_are_lines_with_their_names(tmp_path):
    for lr in (0.001, 0.01):
        write_run(tmp_path / f"mlp{lr}", lr=lr)
        write_run(tmp_path / f"cnn{lr}", model="cnn", data="kmnist", data_fingerprint="1" * 16, lr=lr, wrong=[1])
    figure = learning_rates(compare(read_runs([tmp_path]).table))
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"mlp mnist", "cnn kmnist"}


# -- published numbers -------------------------------------------------------------------------------------------------


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
