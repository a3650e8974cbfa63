"""Adaptive search: Optuna over run(cfg), chosen on validation, shared and resumed through its database."""

import json

import pytest

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app import search as search_module
from mnist_zoo.hydra_app.commandline import CONFIG_DIR, compose_config
from mnist_zoo.hydra_app.search import _suggest, main, read_space, search

SMALL = ("data=custom", "data.name=stripes", "model=mlp", "trainer=cpu", "progress=none", "logger=none", "epochs=2")


@pytest.mark.parametrize("name", [path.stem for path in (CONFIG_DIR / "search").glob("*.yaml")])
def test_every_setting_of_a_space_exists_and_takes_its_values(name):
    class Ends:
        """Suggests the ends of each range, and every choice."""

        def __init__(self, last):
            self.last = last

        def suggest_categorical(self, key, choices):
            return choices[-1 if self.last else 0]

        def suggest_float(self, key, low, high, **extra):
            assert low < high and set(extra) <= {"log", "step"}
            return high if self.last else low

    space = read_space(name)
    for last in (False, True):
        suggested = [f"{key}={_suggest(Ends(last), key, entry)}" for key, entry in space["space"].items()]
        compose_config([*space["overrides"], *suggested])


def test_a_study_runs_prunes_resumes_and_says_what_was_best(tmp_path, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna")
    space = {
        "overrides": [*SMALL],
        "space": {"lr": {"choices": [1e-3, 1e20]}, "model.dropout": {"low": 0, "high": 0.5}},
    }
    monkeypatch.setattr(search_module, "read_space", lambda name: space)
    folder = search("mine", 5, overrides=[f"output_dir={tmp_path}"])
    assert folder == tmp_path / "searches/mine"
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db")
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 5 and "COMPLETE" in states
    for trial in study.trials:
        metrics = folder / "trials" / str(trial.number) / "metrics.json"
        assert metrics.exists() == (trial.state.name == "COMPLETE")
        if metrics.exists():
            assert json.loads(metrics.read_text())["val_acc"] == trial.value
        assert (trial.state.name == "FAIL") == (trial.params["lr"] == 1e20), "a rate that diverges is a failed trial"
    assert {"history.png", "curves.png", "trials.csv"} <= {path.name for path in folder.iterdir()}
    assert f"best by validation: trial {study.best_trial.number}" in capsys.readouterr().out
    search("mine", 6, overrides=[f"output_dir={tmp_path}"])
    search("mine", 6, overrides=[f"output_dir={tmp_path}"])
    assert len(optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db").trials) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search=dropuot"], "unknown search 'dropuot'; did you mean dropout"),
        (["trials=3"], "which search? add search=NAME"),
        (["search=dropout", "trials=0"], "trials=0: it must be 1 or more"),
        (["search=dropout", "trials=many"], "trials=many: it must be a whole number"),
        (["search=dropout", "trails=3"], "unknown setting 'trails'; did you mean trials?"),
        (["search=dropout", "lrr=3"], "unknown setting 'lrr'; did you mean lr?"),
    ],
)
def test_what_cannot_be_is_one_line(words, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["search", *words])
    with pytest.raises(SystemExit, match="1"):
        main()
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {message}") and shown.err.count("\n") == 1


def test_a_space_entry_that_is_neither_choices_nor_a_range_is_named(tmp_path, monkeypatch):
    (tmp_path / "search").mkdir()
    (tmp_path / "search/odd.yaml").write_text("overrides: []\nspace:\n  lr: {lowest: 1}\n")
    monkeypatch.setattr(search_module, "CONFIG_DIR", tmp_path)
    with pytest.raises(InputError, match=r"conf/search/odd\.yaml: lr needs choices"):
        read_space("odd")
