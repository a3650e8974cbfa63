"""Recipes: candidates are chosen without the test set, and the page says what is reached and what is missed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_report import write_run

from mnist_zoo.errors import InputError
from results import candidates
from results.__main__ import main
from results.candidates import COLUMNS, FILE, SPLITS, measure, read_candidates
from results.collect import collect
from results.records import Recipe, records_page

SMALL = ["data=custom", "data.name=stripes", "model=mlp", "trainer=cpu", "progress=none", "epochs=1"]


def set_by(words: list[str]) -> list[str]:
    return [word for word in words if word != "progress=none"]


def test_a_candidate_is_trained_once_for_each_split_and_never_tested(tmp_path, monkeypatch, capsys):
    def tested(*_, **__):
        raise AssertionError("the test set was read")

    monkeypatch.setattr("mnist_zoo.training.run.evaluate_best", tested)
    main(["--results", str(tmp_path), "candidate", "fast99", *SMALL])
    rows = read_candidates(tmp_path)
    assert rows["split_seed"].tolist() == list(range(SPLITS)) and rows["val_acc"].between(0, 1).all()
    assert (rows["fit_seconds"] > 0).all() and set(rows["settings"]) == {
        "data=custom data.name=stripes model=mlp trainer=cpu epochs=1"
    }
    assert f"validation {rows['val_acc'].mean():.4f} (" in capsys.readouterr().out
    monkeypatch.setattr(candidates, "_train", None)  # what is measured is not trained again
    main(["--results", str(tmp_path), "candidate", "fast99", *SMALL])
    assert len(read_candidates(tmp_path)) == SPLITS


def test_rows_that_another_command_wrote_meanwhile_are_kept(tmp_path, monkeypatch):
    def train(settings, split):
        if settings == ["lr=1"]:
            measure("tiny", ["lr=2"], tmp_path)
        return dict.fromkeys(COLUMNS[2:], 1.0) | {"split_seed": split}

    monkeypatch.setattr(candidates, "_train", train)
    measure("tiny", ["lr=1"], tmp_path)
    assert read_candidates(tmp_path).groupby("settings").size().to_dict() == {"lr=1": SPLITS, "lr=2": SPLITS}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fast98", "epochs=1"], "unknown recipe 'fast98'; did you mean fast99"),
        (["fast99", "epochs=1", "seed=3"], "seed=3: each of the 3 splits has a seed of its own"),
        (["fast99", "+data.split_seed=1"], "data.split_seed=1: each of the 3 splits"),
    ],
)
def test_a_candidate_that_no_table_would_show_is_not_trained(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(candidates, "_train", None)
    with pytest.raises(SystemExit, match="1"):
        main(["--results", str(tmp_path), "candidate", *words])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["recipe,settings\nfast,x\n", '"', ",".join(candidates.COLUMNS) + "\nfast99,lr=1,0,much,1,1,cpu,today,1,1\n"],
)
def test_a_damaged_file_of_candidates_is_named(text, tmp_path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=r"candidates.csv is damaged \(.*\): restore it with git"):
        read_candidates(tmp_path)


@pytest.mark.parametrize(
    ("aim", "seeds", "word"), [(0.9, 3, "reached"), (0.99, 3, "**missed**"), (0.9, 4, "seeds miss")]
)
def test_the_page_says_whether_a_recipe_reaches_its_aim(aim, seeds, word, tmp_path, monkeypatch):
    monkeypatch.setattr("results.records.RECIPES", {"fast99": Recipe(aim, seeds, "soon")})
    page = records_page(tmp_path)
    assert "No seed has read the test set yet." in page and "No candidates are recorded." in page
    for seed in range(3):  # 4, 5 and 6 wrong ones of 200 images
        write_run(tmp_path / f"runs/{seed}", seed=seed, wrong=range(4 + seed), experiment="fast99", model="mlp")
    collect([tmp_path / "runs"], tmp_path)
    row = dict.fromkeys(candidates.COLUMNS, 1) | {"recipe": "fast99", "settings": "lr=1", "device": "cpu"}
    rows = [row | {"split_seed": split, "val_acc": 0.98 + 0.01 * split} for split in range(2)]
    pd.DataFrame(rows, columns=candidates.COLUMNS).to_csv(tmp_path / FILE, index=False)
    page = records_page(tmp_path)
    assert "97.500 ± 1.242 %" in page and word in page and "Tests: 3." in page
    assert "| `lr=1` | 98.500 % | 98.00 % | 2 |" in page


def test_the_repositorys_page_is_that_of_its_csv_files():
    folder = Path(__file__).parents[1] / "results"
    assert (folder / "records.md").read_text() == records_page(folder)
