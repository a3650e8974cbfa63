"""Genetic search: what children get from their parents, and its studies."""

from __future__ import annotations

import json
import random

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

from mnist_zoo import create_model  # noqa: E402
from mnist_zoo.errors import InputError  # noqa: E402
from mnist_zoo.hydra_app import genetic, optuna_search  # noqa: E402
from mnist_zoo.hydra_app.genetic import PARENTS, POPULATION, GeneticSampler, mutated, weights_from  # noqa: E402
from mnist_zoo.hydra_app.optuna_search import search  # noqa: E402
from results.searches import read_searches, searches_table  # noqa: E402

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "model.dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "batch_size": IntDistribution(8, 64),
    "optimizer.name": CategoricalDistribution(["adam", "sgd", "lion"]),
}


def study_of(count: int, seed: int = 0) -> optuna.Study:
    """Return a study with `count` finished trials, whose value is the higher the nearer lr is to 0.01."""
    study = optuna.create_study(direction="maximize", sampler=GeneticSampler(seed))
    for _ in range(count):
        trial = study.ask(SPACE)
        study.tell(trial, 1 / (1 + abs(trial.params["lr"] - 0.01)))
    return study


def test_children_take_each_setting_from_one_of_two_good_parents(monkeypatch):
    monkeypatch.setattr(genetic, "MUTATION", 0.0)
    study = study_of(3 * POPULATION)
    sampler = study.sampler
    assert all(not sampler.parents(study, number) for number in range(POPULATION)), "the first generation is random"
    assert len({trial.params["lr"] for trial in study.trials[:POPULATION]}) == POPULATION
    from_both = 0
    for child in study.trials[POPULATION:]:
        first = child.number // POPULATION * POPULATION
        best = sorted(study.trials[:first], key=lambda trial: (-trial.value, trial.number))[:PARENTS]
        parents = sampler.parents(study, child.number)
        assert len(parents) == 2 and parents[0].value >= parents[1].value
        assert {parent.number for parent in parents} <= {trial.number for trial in best}
        for name, value in child.params.items():
            assert value in [parent.params[name] for parent in parents]
        from_both += child.params not in [parent.params for parent in parents]
    assert from_both > 2, "some children mix their parents"


def test_a_trial_depends_on_the_seed_its_number_and_the_trials_before_it():
    params = [[trial.params for trial in study_of(2 * POPULATION, seed).trials] for seed in (0, 0, 1)]
    assert params[0] == params[1] != params[2]


def test_trials_that_failed_are_no_parents():
    study = optuna.create_study(direction="maximize", sampler=GeneticSampler(0))
    for number in range(POPULATION):
        trial = study.ask(SPACE)
        study.tell(trial, 0.5 if number == 3 else None, state=None if number == 3 else optuna.trial.TrialState.FAIL)
    child = study.ask(SPACE)
    assert not study.sampler.parents(study, child.number), "one finished trial cannot be two parents"


@pytest.mark.parametrize("name", [*SPACE])
def test_mutations_stay_in_the_space_and_change_the_value(name):
    distribution, draw = SPACE[name], random.Random(0)
    start = {"lr": 1e-4, "model.dropout": 0.5, "batch_size": 8, "optimizer.name": "sgd"}[name]
    values = [mutated(start, distribution, draw) for _ in range(200)]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)
    assert len({*values}) > 1 and {type(value) for value in values} == {type(start)}
    if name == "optimizer.name":
        assert {*values} == {"adam", "lion"}
    if name == "lr":
        assert max(values) < 0.1**0.5, "steps are small in the logarithm"


def test_a_choice_without_alternative_is_kept():
    assert mutated("a", CategoricalDistribution(["a"]), random.Random(0)) == "a"


def test_weights_come_from_the_better_parent_whose_network_is_the_same():
    good, other = (optuna.trial.create_trial(value=v, params={"lr": v, "model.dropout": d}, distributions=SPACES)
                   for v, d in ((0.9, 0.1), (0.8, 0.2)))  # fmt: skip
    assert weights_from([good, other], {"lr": 0.5, "model.dropout": 0.1}) is good
    assert weights_from([good, other], {"lr": 0.9, "model.dropout": 0.2}) is other
    assert weights_from([good, other], {"lr": 0.9, "model.dropout": 0.3}) is None
    assert weights_from([], {"lr": 0.9}) is None


SPACES = {"lr": FloatDistribution(0.0, 1.0), "model.dropout": FloatDistribution(0.0, 0.5)}


@pytest.mark.slow
def test_children_start_from_the_weights_of_a_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(genetic, "POPULATION", 2)
    small = ["data=custom", "data.name=stripes", "model=mlp", "model.hidden=[4]", "trainer=cpu", "epochs=1"]
    space = {"overrides": [*small, "progress=none", "logger=none"], "space": {"lr": {"low": 1e-30, "high": 1e-29}}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    folder = search("mine", 3, overrides=[f"output_dir={tmp_path}", "seed=1"], algorithm="genetic")
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db")
    child = study.trials[2]
    giver = child.user_attrs["weights_from"]
    assert giver in (0, 1) and child.user_attrs["parents"][0] == giver and child.user_attrs["algorithm"] == "genetic"
    assert study.trials[0].user_attrs["weights_from"] is None
    before, after = (create_model("mlp", pretrained=folder / "trials" / str(number)) for number in (giver, 2))
    assert all(map(_equal, before.state_dict().values(), after.state_dict().values())), (
        "at this rate nothing is learned"
    )
    metrics = json.loads((folder / "trials/2/metrics.json").read_text())
    assert metrics["config"]["pretrained"] == str(folder / "trials" / str(giver))
    with pytest.raises(InputError, match=r"mine was made with other settings .*algorithm: genetic -> None"):
        search("mine", 4, overrides=[f"output_dir={tmp_path}", "seed=1"])


def _equal(first, second) -> bool:
    return bool((first == second).all())


@pytest.mark.slow
def test_results_keep_what_a_search_found(tmp_path, monkeypatch):
    from results.__main__ import main

    small = ["data=custom", "data.name=stripes", "model=mlp", "model.hidden=[4]", "trainer=cpu", "epochs=1"]
    space = {"overrides": [*small, "progress=none", "logger=none"], "space": {"lr": {"choices": [1e-3, 1e20]}}}
    monkeypatch.setattr(optuna_search, "read_space", lambda name: space)
    folder = search("mine", 4, overrides=[f"output_dir={tmp_path}"], algorithm="genetic")
    for _ in range(2):  # the second time the row replaces the first
        main(["--results", str(tmp_path / "results"), "searches", str(folder)])
    (row,) = read_searches(tmp_path / "results").to_dict("records")
    trials = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/study.db").trials
    finished = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert (row["algorithm"], row["trials"], row["settings"]) == ("genetic", 4, "lr=0.001")
    assert row["val_acc"] == max(trial.value for trial in finished) and row["epochs"] == len(finished)
    assert any("| genetic | stripes | 4 x 1 |" in line for line in searches_table(read_searches(tmp_path / "results")))


def test_a_study_that_does_not_name_its_algorithm_is_no_result(tmp_path, capsys):
    from results.__main__ import main

    (tmp_path / "old").mkdir()
    (tmp_path / "old/trials.csv").write_text("number,state,value\n0,COMPLETE,0.9\n")
    with pytest.raises(SystemExit, match="1"):
        main(["--results", str(tmp_path), "searches", str(tmp_path / "old")])
    assert "its trials do not name their algorithm" in capsys.readouterr().err
