"""Label errors: out-of-fold probabilities of the runs of a sweep, their ranking, and what is written."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from mnist_zoo import MNISTDataModule, register_dataset
from mnist_zoo.confidence import softmax
from mnist_zoo.data import ImageSet
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.label_errors import main
from mnist_zoo.report import label_errors, write_report
from mnist_zoo.report.label_errors import find_label_errors, write_label_errors
from mnist_zoo.report.mislabelled import MISLABELLED
from mnist_zoo.report.suspects import COLUMNS, label_error_sections
from mnist_zoo.runs import Damaged, read_predictions
from mnist_zoo.training.run import run

WRONG = {"train": [5, 77, 150, 240, 333], "test": [3, 31]}


@register_dataset("mislabelled")
def mislabelled(root):
    """`stripes` of which some labels are those of the next class."""
    good = load("stripes", root, {"train": 400, "test": 60})
    train, test = good.train_labels.copy(), good.test_labels.copy()
    train[WRONG["train"]] = (train[WRONG["train"]] + 1) % 10
    test[WRONG["test"]] = (test[WRONG["test"]] + 1) % 10
    return ImageSet(good.train_images, train, good.test_images, test)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a sweep over four folds."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from mnist_zoo.hydra_app.compose import CONFIG_DIR

    sweep = tmp_path_factory.mktemp("folds")
    line = ["data=custom", "data.name=mislabelled", "data.folds=4", "model=mlp", "lr=0.01", "epochs=3"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        words = [*line, "data.fold=0", "trainer=cpu", "progress=none", "logger=none"]
        cfg = OmegaConf.to_container(compose("config", words), resolve=True)
    for fold in range(4):
        run(cfg | {"data": cfg["data"] | {"fold": fold}}, sweep / f"fold={fold}", brief=True)
    return sweep


@pytest.fixture
def sweep(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "sweep")


@pytest.fixture
def cleanlab():
    return pytest.importorskip("cleanlab")


def test_the_wrong_labels_are_the_first(trained, cleanlab):
    found = find_label_errors(trained)
    assert (found.data, found.runs, found.folds) == ("mislabelled", 4, 4)
    for split in ("train", "test"):
        table = getattr(found, split).table
        wrong = WRONG[split]
        assert sorted(table["image"].head(len(wrong))) == wrong
        assert sorted(table["image"]) == list(range(len(table)))
        first = table.head(len(wrong))
        assert ((first["given"].astype(int) - 1) % 10 == first["likely"].astype(int)).all()
        assert (first["p_given"] < first["p_likely"]).all()
        assert len(wrong) - 1 <= table["issue"].sum() == first["issue"].sum(), "confident learning misses one at most"


def test_each_training_image_has_the_probabilities_of_the_run_that_was_not_trained_on_it(trained, cleanlab):
    table = find_label_errors(trained).train.table.sort_values("image")
    whole = mislabelled(trained)
    for fold in range(4):
        data = MNISTDataModule("mislabelled", folds=4, fold=fold)
        probabilities = softmax(read_predictions(trained / f"fold={fold}")["val_logits"])
        places = data.places("val")
        expected = probabilities[np.arange(len(places)), whole.train_labels[places]]
        assert table["p_given"].to_numpy()[places] == pytest.approx(expected)


def test_the_images_of_a_fold_are_those_of_its_labels(trained, cleanlab):
    found = find_label_errors(trained)
    whole = mislabelled(trained)
    assert np.array_equal(found.train.images[:, 0], whole.train_images)
    assert np.array_equal(found.test.images[:, 0], whole.test_images)


def test_the_command_writes_tables_and_pictures(sweep, cleanlab, capsys):
    main([str(sweep), "--most", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mislabelled: 4 runs on 4 folds"
    table = pd.read_csv(sweep / "label_errors" / "train.csv")
    assert f"  {table['issue'].sum()} of 400 training labels are probably wrong (cleanlab)" in lines
    assert set(WRONG["train"][:4]) & set(table["image"]) and list(table.columns) == list(COLUMNS)
    assert (sweep / "label_errors" / "test.png").stat().st_size > 1000
    (section,) = label_error_sections([sweep / "fold=0", sweep / "fold=1"], Damaged())
    assert section.title == "Label errors" and [block.kind for block in section.blocks] == ["figure", "table"] * 2


@pytest.mark.slow
def test_the_report_of_the_sweep_shows_them(sweep, cleanlab):
    main([str(sweep)])
    page = write_report([sweep]).read_text()
    assert "Label errors" in page and "The most suspicious training images" in page
    assert len(list((sweep / "report").glob("label_errors_t*.csv"))) == 2


def test_the_known_errors_are_counted_and_marked(trained, tmp_path, cleanlab):
    found = find_label_errors(trained)
    test = label_errors.Suspects(found.test.table, found.test.images, (3, 40))
    known = label_errors.LabelErrors("mnist", 4, 4, test, found.train)
    assert "  1 of 2 test labels known to be wrong are among the first 2" in known.summary(2)
    folder = write_label_errors(known, tmp_path, most=6)
    marked = pd.read_csv(folder / "test.csv")
    assert marked.loc[marked["known"], "image"].tolist() == [3] and len(marked) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sweep: shutil.rmtree(sweep / "fold=2"), "fold 2 of 4 has no finished run"),
        (lambda sweep: [shutil.rmtree(each) for each in sweep.iterdir()], "was validated on a fold"),
        (lambda sweep: set_data(sweep / "fold=1", split_seed=7), "differ in data.split_seed"),
        (lambda sweep: [set_data(each, train_fraction=0.5) for each in sweep.iterdir()], "with data.train_fraction"),
        (lambda sweep: [set_data(each, split_seed=7) for each in sweep.iterdir()], "are not those that fold=0 used"),
        (lambda sweep: shutil.rmtree(sweep), "there is no folder"),
    ],
)
def test_runs_that_do_not_belong_together_are_one_line(sweep, cleanlab, change, message):
    change(sweep)
    with pytest.raises(InputError, match=message):
        find_label_errors(sweep)


def set_data(folder, **settings):
    status = json.loads((folder / "status.json").read_text())
    status["config"]["data"] |= settings
    (folder / "status.json").write_text(json.dumps(status))


@pytest.mark.parametrize(("most", "message"), [("0", "it must be from 1 to 500"), ("501", "--most 501")])
def test_the_number_of_pictures_is_checked_before_anything_is_read(capsys, most, message):
    with pytest.raises(SystemExit):
        main(["no-such-folder", "--most", most])
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_cleanlab_one_line_says_what_to_install(sweep, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(SystemExit) as stopped:
        main([str(sweep)])
    error = capsys.readouterr().err
    assert stopped.value.code == 1 and error.count("\n") == 1
    assert error.startswith("error: label errors need cleanlab, which is not installed: pip install ")


@pytest.mark.parametrize(
    ("content", "message"),
    [("rank,image\n1,2\n", "it lacks columns"), ("", "it is not a table"), ('"a\n', "it is not a table")],
)
def test_a_damaged_table_is_named_and_left_out_of_the_report(sweep, content, message, capsys):
    folder = sweep / "label_errors"
    folder.mkdir()
    (folder / "test.csv").write_text(content)
    damaged = Damaged()
    assert label_error_sections([sweep / "fold=0"], damaged) == []
    assert message in capsys.readouterr().err and len(damaged.folders) == 1


def test_the_known_label_errors_of_mnist_are_fifteen_test_images():
    assert len(set(MISLABELLED)) == 15 and max(MISLABELLED) < 10_000
