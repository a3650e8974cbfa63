"""Measured results: from run folders to CSV, and from CSV alone to the tables that people read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_report import write_run

from mnist_zoo.errors import InputError
from results.collect import BEGIN, END, EXPERIMENTS, collect, main, read_results, render, replace_block

ROOT = Path(__file__).parent.parent


def sweep(folder: Path, wrong: int = 4, **settings) -> Path:
    for seed in (0, 1, 2):
        write_run(
            folder / f"{wrong}-{seed}",
            seed=seed,
            wrong=range(wrong + seed),
            experiment="lr_sweep",
            overrides=["model=mlp", "lr=0.01", "data.root=/somewhere"],
            lr=0.01,
            **settings,
        )
    return folder


def test_rows_are_kept_and_renewed(tmp_path):
    results = tmp_path / "results"
    assert collect([sweep(tmp_path / "first")], results) == {results / "lr_sweep.csv": 3}
    collect([sweep(tmp_path / "second", wrong=8)], results)
    rows = pd.read_csv(results / "lr_sweep.csv")
    assert rows["seed"].tolist() == [0, 1, 2], "the same configurations and seeds, measured again"
    assert rows["test_acc"].tolist() == pytest.approx([0.96, 0.955, 0.95])
    assert rows.columns.to_series().isin(["model", "data", "lr", "seed", "device", "torch", "epochs_run"]).sum() == 7
    assert "/somewhere" not in (results / "lr_sweep.csv").read_text(), "no paths of a machine"
    collect([sweep(tmp_path / "third", batch_size=32)], results)
    assert len(pd.read_csv(results / "lr_sweep.csv")) == 6, "another configuration"


def test_scores_of_predictions_outlive_the_folders(tmp_path):
    write_run(tmp_path / "run", wrong=[7, 17], experiment="keras_cnn", model="cnn")  # two of 20 sevens
    collect([tmp_path / "run"], tmp_path)
    assert read_results(tmp_path, "keras_cnn")["recall_digit_7"].tolist() == pytest.approx([0.9])
    page, _ = render(tmp_path)
    assert "| cnn lr=0.001 | mnist | recall_digit_7 | 93 % | 90.00 | not comparable: one seed, no interval |" in page


def test_the_tables_say_what_was_run_and_what_was_not(tmp_path):
    collect([sweep(tmp_path / "sweep")], tmp_path)
    page, block = render(tmp_path)
    assert "Of 25 published test accuracies 1 were run: our 95 % interval covers 1" in block
    assert "| lr_sweep | mlp lr=0.01 | mnist | test_acc | 97.1 | 97.50 ± 1.24 | inside our interval |" in block
    assert "resnet18" not in block, "the README shows what was run"
    assert "| resnet18 lr=0.01 | mnist | test_acc | 99.2 % | - | not run |" in page
    for experiment in EXPERIMENTS:
        assert f"## `{experiment}`" in page
    assert "Not run yet: `python -m mnist_zoo -m experiment=architectures seed=0,1,2`" in page


def test_runs_of_no_experiment_stand_on_their_own_and_beside_no_paper(tmp_path):
    write_run(tmp_path / "run", wrong=[7, 17])
    assert collect([tmp_path / "run"], tmp_path) == {tmp_path / "zoo.csv": 1}
    page, block = render(tmp_path)
    assert "## `zoo`" in page and "| 99.00 |" in page and "| 99.00 |" in block
    assert "Of 25 published test accuracies 0 were run" in block


def test_runs_of_an_experiment_nobody_knows_are_refused(tmp_path):
    write_run(tmp_path / "run", experiment="my_own")
    with pytest.raises(InputError, match="none of these runs is of a known experiment: architectures"):
        collect([tmp_path / "run"], tmp_path)


def test_only_what_stands_between_the_markers_is_replaced():
    assert replace_block(f"a\n{BEGIN}\nold\n{END}\nz\n", "new\n") == f"a\n{BEGIN}\nnew\n{END}\nz\n"
    for text in ("none", f"{END}\n{BEGIN}\n", f"{BEGIN}\n"):
        with pytest.raises(InputError, match="has no lines"):
            replace_block(text, "new\n")


def test_the_command_writes_both_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(f"# Zoo\n{BEGIN}\n{END}\n")
    sweep(Path("outputs"))
    for arguments in (["collect", "outputs"], ["render"]):
        monkeypatch.setattr("sys.argv", ["results", *arguments])
        main()
    page, block = render("results")
    assert Path("results/README.md").read_text() == page
    assert block in Path("README.md").read_text()
    assert "results/lr_sweep.csv: 3 rows" in capsys.readouterr().out


def test_the_repositorys_results_are_those_of_its_csv_files():
    page, block = render(ROOT / "results")
    cure = "run python -m results render"
    assert (ROOT / "results" / "README.md").read_text() == page, cure
    readme = (ROOT / "README.md").read_text()
    assert replace_block(readme, block) == readme, cure
