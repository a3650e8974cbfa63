"""Ensembles of quick recipes: members and weights are chosen on validation, and no network is in two sets."""

from __future__ import annotations

import numpy as np
import pytest
from test_report import LABELS, write_run

from mnist_zoo.errors import InputError
from results.__main__ import main
from results.records import records_page
from results.sets import SETS, collect_sets, draw_members, read_sets

FEW = {"fast995": 10, "tiny": 5}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs of two recipes. A network of seed s errs for images that no other one of its set errs for."""
    monkeypatch.setattr("results.sets.MEMBERS", FEW)
    for place, (recipe, seeds) in enumerate(FEW.items()):
        for seed in range(seeds):
            first = 10 * (2 * place + seed // SETS)
            wrong = range(first, first + 3 + seed % SETS)
            write_run(tmp_path / f"runs/{recipe}-{seed}", experiment=recipe, seed=seed, wrong=wrong, lr=0.1 + place)
    return tmp_path / "runs"


def test_each_set_has_its_own_networks_and_one_row(runs, tmp_path, capsys):
    main(["--results", str(tmp_path / "results"), "sets", str(runs)])
    rows = read_sets(tmp_path / "results")
    assert rows["set"].tolist() == list(range(SETS)) and (rows["networks"] == 3).all()
    for row in rows.to_dict("records"):
        seeds = {int(member.split("seed=")[1].split(" ")[0]) % SETS for member in row["members"].split("; ")}
        assert seeds == {row["set"]}
        assert row["test_acc"] == row["val_acc"] == 1, "three networks of equal weight correct each other's errors"
        assert row["best_member_acc"] == 1 - (3 + row["set"]) / len(LABELS)
        assert row["fit_seconds"] == 9 + 2 * row["set"] + (row["set"] + SETS)
    assert "set 4: validation 1.0000, test 1.0000" in capsys.readouterr().out
    page = records_page(tmp_path / "results")
    assert "loss, with temperatures: 100.000 ± 0.000 %, reached." in page and "Tests: 5." in page


def test_rows_of_an_earlier_choice_stay_and_count(runs, tmp_path, monkeypatch):
    for choice in ("loss", "luck", "luck"):
        monkeypatch.setattr("results.sets.CHOICE", choice)
        collect_sets([runs], tmp_path)
    assert read_sets(tmp_path)["choice"].tolist() == ["loss"] * SETS + ["luck"] * SETS
    assert "Tests: 10." in records_page(tmp_path)


def test_a_smoothed_network_is_weighed_as_sure_as_it_is_right(runs, tmp_path):
    arrays = dict(np.load(runs / "tiny-0/predictions.npz"))
    for name in ("logits", "val_logits"):
        arrays[name] = arrays[name] / 3
    np.savez(runs / "tiny-0/predictions.npz", **arrays)
    row = collect_sets([runs], tmp_path).iloc[0]
    assert "tiny" in row["members"] and row["test_acc"] == 1


def test_a_missing_seed_is_named(runs, tmp_path):
    (runs / "tiny-3/metrics.json").unlink()
    with pytest.raises(InputError, match="no finished run of tiny with seed=3: train it first"):
        collect_sets([runs], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_sets_of_unequal_size_are_refused(runs, tmp_path):
    write_run(runs / "tiny-0-wider", experiment="tiny", seed=0, wrong=[1], lr=2.0)
    with pytest.raises(
        InputError, match=r"the sets have \[4, 3, 3, 3, 3\] networks: train those that the smaller sets"
    ):
        collect_sets([runs], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_networks_of_other_images_are_refused(runs, tmp_path):
    arrays = dict(np.load(runs / "tiny-3/predictions.npz"))
    order = np.random.default_rng(0).permutation(len(LABELS))
    np.savez(runs / "tiny-3/predictions.npz", **{name: values[order] for name, values in arrays.items()})
    with pytest.raises(InputError, match="do not share validation and test images"):
        collect_sets([runs], tmp_path / "results")


def test_without_a_file_the_page_says_so(tmp_path):
    assert "No set has been chosen yet." in records_page(tmp_path)


def test_a_sure_and_right_network_is_drawn_alone_and_others_by_what_they_add():
    labels = np.array([0, 1])
    right, wrong = np.array([[0.99, 0.01], [0.01, 0.99]]), np.array([[0.01, 0.99], [0.99, 0.01]])
    assert draw_members(np.stack([wrong, right]), labels) == [1]
    half = np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[0.4, 0.6], [0.1, 0.9]])
    assert sorted(draw_members(np.stack(half), labels))[:2] == [0, 1]
