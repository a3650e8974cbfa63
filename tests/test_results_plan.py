"""The committed predictions of measured runs, and the plan of the runs that the tables need."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from test_report import LABELS, write_run

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.report import read_runs, significance
from results.collect import collect, read_results
from results.plan import PLAN, RATES, Missing, missing, sweeps_of, train
from results.predictions import add, path_of, read, with_predictions


def mlp(folder: Path, seed: int, lr: float = 0.01, wrong=None) -> Path:
    overrides = ["model=mlp", f"lr={lr}", "trainer=cpu"]
    wrong = range(4 + seed) if wrong is None else wrong
    return write_run(folder, seed=seed, wrong=wrong, experiment="lr_sweep", overrides=overrides, lr=lr)


class TestPredictions:
    def test_classes_of_every_seed_and_probabilities_of_one_are_kept(self, tmp_path):
        for seed in (2, 0):
            mlp(tmp_path / "runs" / str(seed), seed)
        (path,) = add(tmp_path, "lr_sweep", read_runs([tmp_path / "runs"]).table)
        arrays = read(path)
        assert arrays["seeds"].tolist() == [0, 2] and arrays["labels"].tolist() == LABELS.tolist()
        assert [(classes != LABELS).sum() for classes in arrays["classes"]] == [4, 6]
        assert (arrays["probabilities"].argmax(axis=1) == arrays["classes"][0]).all(), "of the lowest seed"
        assert arrays["probabilities"].dtype == np.float16 and path.stat().st_size < 4000

    def test_new_seeds_are_added_and_known_ones_replaced(self, tmp_path):
        for place, seed, wrong in (("a", 1, [1]), ("b", 0, [2, 3]), ("c", 1, [4, 5, 6])):
            mlp(tmp_path / place / "run", seed, wrong=wrong)
            (path,) = add(tmp_path, "lr_sweep", read_runs([tmp_path / place]).table)
        arrays = read(path)
        assert [(classes != LABELS).sum() for classes in arrays["classes"]] == [2, 3]
        assert (arrays["probabilities"].argmax(axis=1) != LABELS).sum() == 2

    def test_other_test_images_are_refused(self, tmp_path):
        mlp(tmp_path / "runs" / "a", 0)
        runs = read_runs([tmp_path / "runs"]).table
        (path,) = add(tmp_path, "lr_sweep", runs)
        np.savez(path, **(read(path) | {"labels": np.zeros(3, np.uint8)}))
        with pytest.raises(InputError, match="the new runs were tested on other images"):
            add(tmp_path, "lr_sweep", runs)

    def test_a_damaged_file_is_named(self, tmp_path):
        (tmp_path / "a.npz").write_bytes(b"PK")
        with pytest.raises(InputError, match=r"a\.npz cannot be read"):
            read(tmp_path / "a.npz")

    def test_p_values_can_be_computed_again_without_the_runs(self, tmp_path):
        for seed in range(3):
            mlp(tmp_path / "runs" / f"a{seed}", seed)
            mlp(tmp_path / "runs" / f"b{seed}", seed, lr=0.02, wrong=range(30, 70 + seed))
        collect([tmp_path / "runs"], tmp_path)
        rows, predicted, labels = with_predictions(read_results(tmp_path, "lr_sweep"), tmp_path, "lr_sweep")
        assert predicted.shape == (6, len(LABELS)) and len(rows) == 6
        (pair,) = significance(rows, predicted, labels).pairs.to_dict("records")
        assert pair["conclusion"] == "mlp lr=0.01 is better" and pair["p"] < 1e-3

    def test_a_table_without_predictions_is_empty(self, tmp_path):
        mlp(tmp_path / "runs" / "a", 0)
        collect([tmp_path / "runs"], tmp_path / "results")
        table = read_results(tmp_path / "results", "lr_sweep")
        rows, predicted, _ = with_predictions(table, tmp_path / "elsewhere", "lr_sweep")
        assert len(rows) == len(predicted) == 0


class TestPlan:
    @pytest.mark.slow
    def test_every_planned_run_composes(self):
        for planned in {(each.experiment, each.settings[0]): each for each in PLAN}.values():  # of each network one
            chosen = [] if planned.experiment == "zoo" else [f"experiment={planned.experiment}"]
            assert compose_config([*chosen, *planned.settings, "seed=0"])["seed"] == 0
            assert planned.command(3)[0] == "-m" and planned.command(3)[-1] == "seed=3"

    def test_no_configuration_is_planned_twice(self):
        keys = [(planned.experiment, frozenset(planned.settings)) for planned in PLAN]
        assert len(keys) == len(set(keys))

    def test_what_has_a_row_and_predictions_is_not_missing(self, tmp_path):
        for seed in (0, 3):
            mlp(tmp_path / "runs" / str(seed), seed)
        collect([tmp_path / "runs"], tmp_path)
        found = {planned.planned.settings: planned.seeds for planned in missing(tmp_path, "lr_sweep")}
        assert found["model=mlp", "lr=0.01"] == (1, 2, 4, 5, 6, 7, 8, 9)
        assert found["model=mlp", "lr=0.02"] == tuple(range(10))
        path_of(tmp_path, "lr_sweep", "mlp", read_results(tmp_path, "lr_sweep")["settings"].iloc[0]).unlink()
        assert len(next(missing(tmp_path, "lr_sweep")).seeds) == 10, "the predictions are gone"

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_what_is_missing_is_trained_and_collected_until_the_time_is_up(self, at_once, tmp_path, monkeypatch):
        def trained(command, env, timeout):
            seed = int(next(word for word in command if word.startswith("seed=")).removeprefix("seed="))
            assert {"data.root=there", f"output_dir='{tmp_path / 'out=1'}'"} < {*command}
            assert "OMP_NUM_THREADS" in env or at_once == 1
            if seed == 2:
                raise subprocess.TimeoutExpired(command, timeout)
            mlp(tmp_path / "out=1" / "sweeps" / f"lr_sweep,seed={seed}", seed)
            return subprocess.CompletedProcess(command, 3 if seed == 5 else 0)

        monkeypatch.setattr("results.plan.subprocess.run", trained)
        planned = next(each for each in PLAN if each.settings == ("model=mlp", "lr=0.01"))

        def train_seeds(*seeds, left=60.0):
            until, words = time.monotonic() + left, ["data.root=there"]
            return train([Missing(planned, seeds)], tmp_path / "out=1", tmp_path, until, at_once=at_once, words=words)

        assert train_seeds(0, 1) and sorted(read_results(tmp_path, "lr_sweep")["seed"]) == [0, 1]
        assert not train_seeds(2, 3), "the time was up for seed 2"
        with pytest.raises(InputError, match=r"1 trainings failed, .*: the same command continues them"):
            train_seeds(5, 6)
        assert {0, 1, 3, 6} <= set(read_results(tmp_path, "lr_sweep")["seed"])
        assert not train_seeds(7, left=-1.0)

    def test_only_sweeps_of_the_experiment_are_collected(self, tmp_path):
        for name in ("dropout", "dropout,seed=0", "dropout_search,seed=0", "zoo"):
            (tmp_path / "sweeps" / name).mkdir(parents=True)
        assert [each.name for each in sweeps_of(tmp_path, "dropout")] == ["dropout", "dropout,seed=0"]
        assert [each.name for each in sweeps_of(tmp_path, "zoo")] == ["zoo"]

    def test_a_sweep_writes_true_as_the_plan_does_not(self, tmp_path):
        write_run(
            tmp_path / "run", experiment="ensemble_batchnorm", overrides=["model.batch_norm=True", "model=simple_m5"]
        )
        collect([tmp_path / "run"], tmp_path)
        assert next(missing(tmp_path, "ensemble_batchnorm")).seeds == (1, 2)

    def test_an_unknown_experiment_and_no_processes_are_named(self, tmp_path):
        with pytest.raises(InputError, match="unknown experiment 'lr_swep'; did you mean lr_sweep"):
            list(missing(tmp_path, "lr_swep"))
        with pytest.raises(InputError, match="--at-once 0: it must be 1 or more"):
            train([], tmp_path, tmp_path, 0.0, at_once=0)

    def test_all_four_rates_of_the_paper_are_planned(self):
        planned = [each.settings for each in PLAN if each.experiment == "lr_sweep" and len(each.settings) == 2]
        models = {settings[0] for settings in planned}
        assert {(model, f"lr={lr}") for model in models for lr in RATES} == set(planned)
