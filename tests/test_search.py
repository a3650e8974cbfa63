"""Adaptive search with Optuna: its files, its errors, and that a study continues."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_zoo.errors import DivergedError, InputError, StorageError
from mnist_zoo.hydra_app import optuna_search, search_space
from mnist_zoo.hydra_app.compose import CONFIG_DIR, compose_config
from mnist_zoo.hydra_app.optuna_search import SearchFailed, search
from mnist_zoo.hydra_app.search_space import read_space
from mnist_zoo.search import main

ROOT = Path(__file__).parents[1]

SMALL = ("data=custom", "data.name=stripes", "model=mlp", "trainer=cpu", "progress=none", "logger=none", "epochs=2")


@pytest.mark.parametrize("name", [path.stem for path in (CONFIG_DIR / "search").glob("*.yaml")])
def test_the_settings_of_a_space_exist_and_take_its_values(name):
    space = read_space(name)
    for end in (0, -1):  # the first and the last value of each setting
        values = {key: _values(entry)[end] for key, entry in space["space"].items()}
        compose_config([*space["overrides"], *(f"{key}={value}" for key, value in values.items())])


def _values(entry: dict) -> list:
    if "choices" in entry:
        return entry["choices"]
    assert float(entry["low"]) < float(entry["high"])
    return [entry["low"], entry["high"]]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"low": 1, "high": 3}, int),
        ({"low": 1, "high": 3.0}, float),
        ({"low": "1e-4", "high": "1e-2", "log": True}, float),
        ({"low": 0.0, "high": 1.0, "step": 0.5}, float),
        ({"choices": ["[32,64]"]}, str),
    ],
)
def test_a_suggested_value_has_the_type_of_its_entry(entry, kind):
    optuna = pytest.importorskip("optuna")
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    value = search_space.suggest(trial, "key", entry)
    assert type(value) is kind
    if "low" in entry:
        assert float(entry["low"]) <= value <= float(entry["high"])


def _suggested(algorithm, seed, start=0):
    """Return the settings of 12 trials (TPE draws its first ten at random), a process after trial `start` anew."""
    from mnist_zoo.hydra_app.samplers import sampler

    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler(algorithm, seed))
    for number in range(12):
        if number == start:
            study.sampler = sampler(algorithm, seed)
        trial = study.ask()
        lr, kind = trial.suggest_float("lr", 1e-4, 1e-1, log=True), trial.suggest_categorical("kind", ["a", "b", "c"])
        study.tell(trial, -abs(lr - 0.01) - (kind == "a"))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("algorithm", ["tpe", "random", "genetic"])
def test_suggestions_follow_from_the_seed_also_in_a_study_that_is_continued(algorithm):
    assert _suggested(algorithm, 0) == _suggested(algorithm, 0) == _suggested(algorithm, 0, start=11)
    assert _suggested(algorithm, 0) != _suggested(algorithm, 1)
    assert len({params["lr"] for params in _suggested(algorithm, 0)[:8]}) == 8, "each trial has its own"


@pytest.mark.slow
def test_a_study_runs_continues_and_prints_its_best_trial(tmp_path, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna")
    space = {
        "overrides": [*SMALL],
        "space": {"lr": {"choices": [1e-3, 1e20]}, "model.dropout": {"low": 0, "high": 0.5}},
    }
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    folder = search("mine", 5, overrides=[f"output_dir={tmp_path}"])
    assert folder == tmp_path / "searches/mine"
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db")
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 5 and {"COMPLETE", "FAIL"} <= set(states)
    for trial in study.trials:
        metrics = folder / "trials" / str(trial.number) / "metrics.json"
        assert metrics.exists() == (trial.state.name == "COMPLETE")
        if metrics.exists():
            assert json.loads(metrics.read_text())["val_acc"] == trial.value
        assert (trial.state.name == "FAIL") == (trial.params["lr"] == 1e20), "training that diverges is a failed trial"
    assert {"history.png", "curves.png", "trials.csv"} <= {path.name for path in folder.iterdir()}
    assert f"best by validation: trial {study.best_trial.number}" in capsys.readouterr().out
    search("mine", 6, overrides=[f"output_dir={tmp_path}"])
    search("mine", 6, overrides=[f"output_dir={tmp_path}"])
    assert len(optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db").trials) == 6


@pytest.mark.parametrize(("values", "drawn"), [([0.5, 0.5], False), ([0.5, 0.5, 0.5, 0.6], True)])
def test_trials_of_equal_accuracy_have_no_importances(values, drawn, tmp_path, capsys):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(direction="maximize")
    ranges = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1),
        "dropout": optuna.distributions.IntDistribution(0, 9),
    }
    for number, value in enumerate(values):
        params = {"lr": 0.01 * (1 + number), "dropout": number}
        study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=ranges))
    optuna_search._write_results(study, tmp_path)
    said = capsys.readouterr().out
    assert (tmp_path / "slices.png").exists() and "best by validation: trial" in said
    assert (tmp_path / "importances.png").exists() == drawn
    assert ("no importances.png: the accuracy of all finished trials is the same" in said) is not drawn


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search=dropuot"], "unknown search 'dropuot'; did you mean dropout"),
        (["trials=3"], "no search was named: add search=NAME"),
        (["search="], "unknown search ''"),
        (["search=../dropout"], "unknown search '../dropout'"),
        (["search=dropout", "search=dropout"], "search= was given twice"),
        (["search=dropout", "trials=0"], "trials=0: it must be 1 or more"),
        (["search=dropout", "trials=many"], "trials=many: it must be an integer"),
        (["search=dropout", "trials=-3"], "trials=-3: it must be an integer of 1 or more"),
        (["search=dropout", "trials=1e9"], "trials=1e9: it must be an integer"),
        (["search=dropout", "trials=\u00b2"], "trials=\u00b2: it must be an integer"),
        (["search=dropout", "trials=1000000000"], "trials=1000000000: it must be 100,000 or less"),
        (["search=dropout", "prune=maybe"], "prune=maybe: it must be true or false"),
        (["search=dropout", "study="], "study=: it must not be empty"),
        (["search=dropout", "study=../../x"], "study=../../x: it must be the name of a folder, not a path"),
        (["search=dropout", "study=/x"], "study=/x: it must be the name of a folder, not a path"),
        (["search=dropout", "resume=x"], "resume=x: not in a search: the same command continues a search"),
        (["search=dropout", "sweep=x"], "sweep=x: not in a search: name the search with study=NAME"),
        (["search=dropout", "hydra/launcher=joblib"], "hydra/launcher=joblib: not in a search: start the same command"),
        (["search=dropout", "lr=0.1"], "lr=0.1: lr is one of the searched settings: model.channels, model.dense, lr"),
        (["search=dropout", "seed=1,2"], "seed=1,2: in a search each setting has one value"),
        (["search=dropout", "batch_size=0"], "batch_size=0: it must be 1 or more"),
        (["search=dropout", "model.dropout=2"], "model.dropout=2: it must be below 1"),
        (["search=dropout", "output_dir=a?b"], "output_dir=a?b: a search needs a folder without ? in its name"),
        (["search=dropout", "output_dir="], "output_dir=: it must name a folder"),
        (["search=dropout", "+x=1"], "unknown setting 'x'"),
        (["search=dropout", "x"], "'x' is not an override"),
        (["search=dropout", "model=5"], "unknown model '5'"),
        (["search=dropout", "algorithm=genetics"], "unknown algorithm 'genetics'; did you mean genetic"),
        (["search=dropout", "trails=3"], "unknown setting 'trails'; did you mean trials?"),
        (["search=dropout", "lrr=3"], "unknown setting 'lrr'; did you mean lr?"),
    ],
)
def test_an_error_is_one_line(words, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["search", *words])
    with pytest.raises(SystemExit, match="1"):
        main()
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {message}") and shown.err.count("\n") == 1


@pytest.mark.slow
def test_a_study_of_other_settings_is_not_continued(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    space = {"overrides": [*SMALL, "epochs=1"], "space": {"lr": {"choices": [1e-3]}}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    place = f"output_dir={tmp_path}"
    folder = search("mine", 1, overrides=[place])
    with pytest.raises(InputError, match=r"mine was made with other settings \(config\.batch_size: 64 -> 32\)"):
        search("mine", 2, overrides=[place, "batch_size=32"])
    with pytest.raises(InputError, match="prune"):
        search("mine", 2, overrides=[place], prune=False)
    space["space"] = {"lr": {"choices": [1e-3, 1e-2]}}
    with pytest.raises(InputError, match=r"space\.lr\.choices"):
        search("mine", 2, overrides=[place])
    assert [path.name for path in (folder / "trials").iterdir()] == ["0"]


@pytest.mark.slow
def test_a_search_whose_trials_all_fail_is_an_error(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    space = {"overrides": [*SMALL, "epochs=1"], "space": {"lr": {"choices": [1e20]}}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    with pytest.raises(SearchFailed, match=r"all trials in .*mine failed"):
        search("mine", 2, overrides=[f"output_dir={tmp_path}"])


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_database_is_named(tmp_path, content):
    pytest.importorskip("optuna")
    path = tmp_path / "searches/dropout/study.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=rf"{path} cannot be used .*choose another study=NAME"):
        search("dropout", 1, overrides=[*SMALL[:-3], "model=cnn", f"output_dir={tmp_path}"])
    assert path.read_bytes() == content


def test_an_entry_of_a_space_that_has_neither_choices_nor_a_range_is_named(tmp_path, monkeypatch):
    (tmp_path / "search").mkdir()
    (tmp_path / "search/odd.yaml").write_text("overrides: []\nspace:\n  lr: {lowest: 1}\n")
    monkeypatch.setattr(search_space, "CONFIG_DIR", tmp_path)
    with pytest.raises(InputError, match=r"conf/search/odd\.yaml: lr needs choices"):
        read_space("odd")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{low: 0.2, high: 0.1}", "needs a low: that is not above high:"),
        ("{low: 0, high: 0.1, log: true}", "needs log: false, or log: true and a low: above 0"),
        ("{low: 1, high: 2, log: maybe}", "needs log: false, or log: true"),
        ("{low: 1, high: 9, log: true, step: 2}", "needs either log: or step:"),
        ("{low: 1, high: 9, step: 0.5}", "needs an integer above 0 as step:"),
        ("{low: 1.0, high: 9, step: 0}", "needs a number above 0 as step:"),
        ("{low: small, high: 9}", "needs numbers as low: and high:"),
        ("{low: null, high: 9}", "needs numbers as low: and high:"),
        ("{low: 0.1, high: .inf}", "needs numbers as low: and high:"),
        ("{low: 1, high: 1" + "0" * 400 + "}", "needs numbers as low: and high:"),
        ("{choices: []}", "needs choices: a list of values"),
        ("{choices: 0.1}", "needs choices: a list of values"),
    ],
)
def test_a_range_that_has_no_values_is_named(tmp_path, entry, message):
    (tmp_path / "odd.yaml").write_text(f"space:\n  lr: {entry}\n")
    with pytest.raises(InputError, match=rf"odd\.yaml: lr {message}.*, not \{{"):
        read_space(str(tmp_path / "odd.yaml"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"lrr": {"choices": [1e-3]}}, "unknown setting 'lrr'; did you mean lr"),
        ({"lr": {"choices": [1e-3, -1]}}, "lr=-1: it must be above 0"),
        ({"model.dropout": {"low": 0.0, "high": 2.0}}, r"model.dropout=2.0: it must be below 1"),
        ({1: {"choices": [1]}}, "'1=1' is not an override"),
    ],
)
def test_a_wrong_setting_of_a_space_is_named_before_a_study_exists(tmp_path, monkeypatch, space, message):
    monkeypatch.setattr(optuna_search, "read_space", lambda name: {"overrides": [*SMALL], "space": space})
    with pytest.raises(InputError, match=message):
        search("mine", 1, overrides=[f"output_dir={tmp_path}"])
    assert not list(tmp_path.iterdir())


def test_a_choice_may_be_null_a_boolean_or_a_list(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    seen = []

    def run(cfg, folder, **_):
        seen.append((cfg["grad_clip"], cfg["model"]["hidden"], cfg["data"]["normalize"]))
        raise DivergedError("as it would train")

    choices = {"grad_clip": [None], "model.hidden": [[32, 16]], "data.normalize": [False]}
    space = {"overrides": [*SMALL], "space": {key: {"choices": values} for key, values in choices.items()}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    monkeypatch.setattr(optuna_search, "load_run", lambda cfg: run)
    with pytest.raises(SearchFailed):
        search("mine", 1, overrides=[f"output_dir={tmp_path}"])
    assert seen == [(None, [32, 16], False)]
    assert "trial 0: grad_clip=null model.hidden=[32, 16] data.normalize=false\n" in capsys.readouterr().out


def test_an_interrupted_trial_does_not_count(tmp_path, monkeypatch, capfd):
    optuna = pytest.importorskip("optuna")

    def run(cfg, folder, **_):
        raise KeyboardInterrupt("interrupted; the last whole epoch is in a folder")

    def diverges(cfg, folder, **_):
        raise DivergedError("as it would train")

    space = {"overrides": [*SMALL], "space": {"lr": {"choices": [1e-3]}}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    monkeypatch.setattr(optuna_search, "load_run", lambda cfg: run)
    with pytest.raises(KeyboardInterrupt, match="interrupted; the same command continues the search"):
        search("mine", 1, overrides=[f"output_dir={tmp_path}"])
    monkeypatch.setattr(optuna_search, "load_run", lambda cfg: diverges)
    with pytest.raises(SearchFailed):
        search("mine", 1, overrides=[f"output_dir={tmp_path}"])
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path}/searches/mine/study.db")
    assert [trial.state.name for trial in study.trials] == ["RUNNING", "FAIL"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_study_of_version_0_1_0_continues(tmp_path):
    optuna = pytest.importorskip("optuna")
    shutil.copytree(ROOT / "tests/fixtures/0.1.0/searches", tmp_path / "searches")
    old = _rows(tmp_path / "searches/dropout/trials.csv")
    small = ["data=mnist5k", "data.train_fraction=0.02", "epochs=1", "trainer=cpu", "logger=none", "progress=none"]
    folder = search("dropout", 4, overrides=[*small, f"output_dir={tmp_path}"])
    study = optuna.load_study(study_name="dropout", storage=f"sqlite:///{folder}/study.db")
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert [trial.value for trial in study.trials[:3]] == [float(row["value"]) for row in old]
    assert json.loads((folder / "trials/3/metrics.json").read_text())["val_acc"] == study.trials[3].value
    assert len(_rows(folder / "trials.csv")) == 4


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_ctrl_c_says_how_to_continue(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna_search, "search", interrupted)
    monkeypatch.setattr("sys.argv", ["search", "search=dropout"])
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr().err == "error: interrupted; the same command continues\n"


def test_help_imports_neither_torch_nor_hydra():
    line = [sys.executable, "-X", "importtime", "-m", "mnist_zoo.search", "--help"]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert done.returncode == 0 and not imported & {"torch", "numpy", "hydra"}
