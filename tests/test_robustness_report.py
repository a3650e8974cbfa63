"""What was measured beyond accuracy, in the report and in results/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import write_runs

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.report.measurements import columns_of, groups_of
from mnist_zoo.report.page import write_report
from mnist_zoo.report.published import published_rows, rows_of, why_not_comparable
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.transfer import transfer_table
from mnist_zoo.runs import Damaged, add_measurement, find_runs, measurement_key
from results.__main__ import main
from results.robustness import FILE, collect_measurements, numbers_of, read_robustness, robustness_table


def measurement(test: str, values: dict, images: int = 1000, **settings) -> dict:
    return {
        **{"test": test, "version": 1, "settings": {"images": images, "split": "test", "seed": 0} | settings},
        **{"weights": "w", "data": "mnist", "fingerprint": "0" * 16, "images": images, "values": values},
        **{"seconds": 1.0, "device": "a cpu", "versions": {"mnist_zoo": "0.2.0"}, "date": "2026-11-28"},
    }


def attack(accuracy: list[float], signs: list[str] | None = None) -> dict:
    epsilons = [0.1, 0.2, 0.3][: len(accuracy)]
    known = {"norm": "linf", "epsilons": epsilons, "clean_accuracy": 0.98}
    return known | {"accuracy": accuracy, "signs": signs or []}


def add(folder: Path, test: str, values: dict, of: tuple[str, str] = ("mnist", "0" * 16), **settings) -> None:
    record = measurement(test, values, **settings) | {"data": of[0], "fingerprint": of[1]}
    key = measurement_key(test, 1, record["settings"], "w", of[1])
    add_measurement(folder, key, record, {"correct": np.ones(3, bool)})


@pytest.fixture
def runs(tmp_path) -> Path:
    """Three configurations of two seeds, of which one is not measured."""
    folder = write_runs(tmp_path / "runs", configurations=3, seeds=2, images=200)
    for number, run in enumerate(list(find_runs([folder]))[:4]):
        add(run, "pgd", attack([0.9 - 0.1 * number, 0.5, 0.1], ["epsilon <b>0.2</b>"] if number == 0 else []), steps=40)
        add(run, "fgsm", attack([0.8, 0.7]))
        add(run, "masking", {"shares": [0.0, 0.5], "accuracy": [0.98, 0.7]})
    return folder


def test_the_report_shows_what_was_measured(runs, tmp_path):
    page = write_report([runs], tmp_path / "report")
    text, html = page.with_suffix(".md").read_text(), page.read_text()
    for title in ("Clean against robust accuracy", "PGD, L-inf", "FGSM", "Masked input"):
        assert f"## {title}" in text and f"<h2>{title}</h2>" in html
    assert "Square attack" not in text, "it was not measured"
    assert "40 steps of 2.5 epsilon / steps" in text and "1,000 test images" in text
    assert "<b>0.2" not in html and "&lt;b&gt;0.2" in html, "texts of a run folder are escaped"
    rows = pd.read_csv(tmp_path / "report/robustness_pgd.csv")
    assert len(rows) == 4 and rows["0.1"].tolist() == pytest.approx([0.7, 0.6, 0.9, 0.8])
    table = pd.read_csv(tmp_path / "report/runs.csv")
    assert table["pgd_acc_0.1"].notna().sum() == 4 and {"fgsm_acc_0.2", "masking_acc_0.5"} <= set(table.columns)
    assert len(list((tmp_path / "report/figures").glob("*-pgd.png"))) == 1


def test_a_report_without_measurements_has_no_such_section(tmp_path):
    folder = write_runs(tmp_path / "runs", configurations=1, seeds=1, images=100)
    text = write_report([folder], tmp_path / "report").with_suffix(".md").read_text()
    assert "FGSM" not in text and "robust accuracy" not in text


def test_a_damaged_record_is_named_and_its_run_left_out(runs, capsys):
    first = next(iter(find_runs([runs])))
    content = (first / "evaluation.json").read_text()
    (first / "evaluation.json").write_text(content.replace("0.9,", "1.9,"))
    damaged = Damaged()
    assert len(read_runs([runs], damaged).table) == 5
    assert "evaluation.json" in capsys.readouterr().err and list(damaged.folders) == [first]


def test_measurements_with_other_settings_are_compared_apart(runs):
    first, second = list(find_runs([runs]))[:2]
    add(first, "pgd", attack([0.3]), images=10_000, steps=50)
    table = read_runs([runs]).table
    groups = groups_of(table, "pgd")
    assert [(len(group.runs), group.images) for group in groups] == [(4, 1000), (1, 10_000)]
    by_folder = {row.folder: row for _, row in table.iterrows()}
    assert by_folder[first]["pgd_acc_0.1"] == 0.3, "the most thorough measurement counts"
    assert by_folder[second]["pgd_acc_0.1"] == 0.8


def test_measurements_on_validation_do_not_count():
    found = {"pgd-1": measurement("pgd", attack([0.5]), split="val"), "own-1": measurement("own", {"x": 1})}
    assert columns_of(found, "0" * 16) == {}


@pytest.mark.slow
def test_measurements_on_other_data_have_a_section_of_their_own(runs, tmp_path):
    first, second = list(find_runs([runs]))[:2]
    for folder, accuracy in ((first, 0.61), (second, 0.63)):
        add(folder, "clean", {"accuracy": accuracy, "loss": 1.0}, ("svhn", "1" * 16))
        add(folder, "clean", {"accuracy": 0.99, "loss": 1.0}, ("svhn", "1" * 16), images=50)
        add(folder, "pgd", attack([0.05, 0.04, 0.03]), ("svhn", "1" * 16), steps=40)
    table = read_runs([runs]).table
    assert sorted(table["clean_acc_svhn"].dropna()) == [0.61, 0.63] and 0.05 not in set(table["pgd_acc_0.1"])
    assert len(groups_of(table, "pgd")) == 1, "attacks on other images are not compared with those on the own ones"
    assert transfer_table(table)["accuracy"].tolist() == [0.61, 0.63], "the measurement on most images counts"
    text = write_report([runs], tmp_path / "report").with_suffix(".md").read_text()
    assert "## Other data sets" in text and "svhn (1,000 images)" in text and "61.00 to 63.00" in text
    collect_measurements([runs], tmp_path / "results")
    rows = read_robustness(tmp_path / "results")
    clean = rows[(rows["test"] == "clean") & (rows["metric"] == "accuracy")]
    assert set(clean["data"]) == {"svhn"} and set(rows["data"]) == {"mnist", "svhn"}


def test_results_keep_every_number_once(runs, tmp_path):
    results = tmp_path / "results"
    (count,) = collect_measurements([runs], results).values()
    assert collect_measurements([runs], results) == {results / FILE: count}
    rows = read_robustness(results)
    assert len(rows) == count
    pgd = rows[(rows["test"] == "pgd") & (rows["metric"] == "accuracy")]
    assert len(pgd) == 12 and set(pgd["strength"]) == {"0.1", "0.2", "0.3"}
    assert str(tmp_path) not in (results / FILE).read_text(), "no paths of a machine"
    table = "\n".join(robustness_table(rows))
    assert "mlp lr=0.001" in table and "80.00 to 90.00" in table


def test_results_of_runs_that_were_not_measured_are_an_error(tmp_path, capsys):
    folder = write_runs(tmp_path / "runs", configurations=1, seeds=1, images=100)
    with pytest.raises(InputError, match="nothing was measured"):
        collect_measurements([folder], tmp_path)
    with pytest.raises(SystemExit):
        main(["--results", str(tmp_path), "robustness", str(folder)])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "\xff\x00", ""])
def test_a_damaged_file_of_results_is_named(tmp_path, content):
    (tmp_path / FILE).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"robustness\.csv is damaged"):
        read_robustness(tmp_path)


def test_numbers_of_any_test_are_found():
    values = {"ece": 0.1, "by": {"fog": 0.2}, "names": ["x"], "shares": [0.1, 0.5], "accuracy": [0.9, 0.4], "ok": True}
    assert list(numbers_of(values)) == [
        ("ece", "", 0.1), ("by.fog", "", 0.2), ("accuracy", "0.1", 0.9), ("accuracy", "0.5", 0.4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (
            {"names": ["fog", "shear"], "accuracy": [0.3, 0.9], "mean": 0.6},
            [("accuracy", "fog", 0.3), ("accuracy", "shear", 0.9), ("mean", "", 0.6)],
        ),
        (
            {"plain": {"ece": 0.1, "accuracy": [0.5, 0.9]}, "coverage": [1.0, 0.95], "accuracy": [0.9, 0.96]},
            [("plain.ece", "", 0.1), ("accuracy", "1", 0.9), ("accuracy", "0.95", 0.96)],
        ),
        ({"sets": {"noise": {"energy": {"auroc": 0.9}}}}, [("sets.noise.energy.auroc", "", 0.9)]),
    ],
)
def test_numbers_of_corruptions_calibration_and_strangers_are_found(values, numbers):
    assert list(numbers_of(values)) == numbers


def test_the_published_rows_of_masking_find_their_runs():
    rows = [row for row in published_rows() if row.experiment == "masking"]
    assert sorted({row.augment for row in rows}) == ["mask=0.1", "mask=0.3", "mask=0.5", "none"]
    run = pd.Series(
        {
            **{"model": "cnn", "data": "mnist", "lr": 1e-3, "model_options": {}, "experiment": "masking"},
            **{"augment": {"rotate": 0.0, "fill": "zeros", "mask": 0.3}, "device": "a cpu"},
            "overrides": ["experiment=masking", "augment.mask=0.3", "seed=1"],
        }
    )
    clean, under_attack = rows_of(run)
    assert (clean.metric, clean.value, why_not_comparable(clean, run)) == ("test_acc", 94, None)
    assert (under_attack.ours, under_attack.value) == ("fgsm_acc_0.1", 80)
    assert "does not state epsilon" in why_not_comparable(under_attack, run)


def test_a_published_row_of_capsnet_finds_its_runs_among_those_of_its_experiment():
    config = compose_config(["experiment=capsnet", "model.routing=3", "model.reconstruction=0.0005"])
    options = {key: value for key, value in config["model"].items() if key != "name"}
    run = pd.Series(
        {
            **{"model": "capsnet", "data": "mnist", "lr": 1e-3, "model_options": options, "experiment": "capsnet"},
            **{"augment": config["augment"], "device": "a cpu"},
            "overrides": ["experiment=capsnet", "model.routing=3", "model.reconstruction=0.0005", "seed=1"],
        }
    )
    (row,) = rows_of(run)
    assert (row.metric, row.value, why_not_comparable(row, run)) == ("test_acc", 99.75, None)
