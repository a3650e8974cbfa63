"""hydra/launcher=stacked: jobs trained at once have the results and the files that they have alone."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mnist_zoo import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import CONFIG_DIR
from mnist_zoo.hydra_app.job_configs import JobConfigs
from mnist_zoo.runs import RunFolder, read_curves, read_metrics, read_status
from mnist_zoo.stacked.batches import StackedBatches
from mnist_zoo.stacked.checking import require_stackable_jobs
from mnist_zoo.stacked.run import run_stacked
from mnist_zoo.stacked.settings import Choice, NotStackable, require_stackable, stacks
from mnist_zoo.stacked.training import Stack
from mnist_zoo.training.run import run
from mnist_zoo.weights import read_archive

# How a run was made, not what came out.
HOW = {"fit_seconds", "train_images_per_second", "peak_memory_bytes", "speed"}


@pytest.fixture
def sweep(stripes_config, tmp_path):
    """Return ``sweep(jobs, "model=mlp", ...)``: the choices of jobs, each given by overrides of its own."""

    def of(jobs, *overrides):
        cfgs = [stripes_config("epochs=2", "batch_size=32", *overrides, *job) for job in jobs]
        return [Choice(cfg, tmp_path / f"stacked-{number}") for number, cfg in enumerate(cfgs)]

    return of


def alone(choice):
    """Run a job by itself, and return its folder."""
    folder = choice.folder.with_name(choice.folder.name.replace("stacked", "alone"))
    run(choice.cfg, folder, brief=True)
    return folder


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {
        "checkpoints/previous.ckpt"
    }


def assert_same_run(one, other):
    """The two folders have the same files, and the same numbers but for rounding."""
    assert files(one) == files(other)
    metrics, expected = read_metrics(one), read_metrics(other)
    assert metrics.keys() == expected.keys()
    for key in metrics.keys() - HOW:
        assert metrics[key] == (pytest.approx(expected[key], abs=1e-4) if key.endswith("_loss") else expected[key]), key
    for row, other_row in zip(read_curves(one), read_curves(other), strict=True):
        for key in ("epoch", "lr", "train_acc", "val_acc", "train_loss", "val_loss"):
            assert row[key] == pytest.approx(other_row[key], abs=1e-4), key
    with np.load(one / "predictions.npz") as found, np.load(other / "predictions.npz") as wanted:
        assert found.files == wanted.files
        for name in found.files:
            assert found[name].dtype == wanted[name].dtype
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-3)
    for name in ("best", "last"):
        how = [read_archive(run / f"checkpoints/{name}.ckpt")["datamodule_hyper_parameters"] for run in (one, other)]
        assert how[0] == how[1], "evaluate, predict and export load and filter images as they say"
        states = [
            LitClassifier.load_from_checkpoint(run / f"checkpoints/{name}.ckpt").state_dict() for run in (one, other)
        ]
        for key, weight in states[0].items():
            torch.testing.assert_close(weight, states[1][key], atol=1e-3, rtol=1e-3)
    then, now = read_status(one), read_status(other)
    assert then.keys() == now.keys()
    assert all(then[key] == now[key] for key in ("state", "identity", "config", "epoch", "best_epoch"))


SEEDS_AND_RATES = [[f"seed={seed}", f"lr={lr}"] for seed, lr in product((0, 1), (1e-3, 3e-3))]
KINDS = {
    "mlp": (SEEDS_AND_RATES, ["model=mlp", "scheduler=cosine"]),
    "cnn": (SEEDS_AND_RATES[:3], ["model=cnn", "model.channels=[4,6]", "model.dense=[16]"]),
    "lenet5": (SEEDS_AND_RATES[1:], ["model=lenet5", "optimizer=sgd", "optimizer.momentum=0.9", "scheduler=onecycle"]),
    "batch norm": (SEEDS_AND_RATES[:2], ["model=cnn_strided", "model.channels=[4,6]", "optimizer=sgd"]),
    "several settings": (
        [["optimizer.weight_decay=0.1"], ["label_smoothing=0.2", "optimizer.betas=[0.8,0.9]"], ["scheduler.gamma=0.5"]],
        ["model=mlp", "optimizer=adamw", "scheduler=exponential", "scheduler.gamma=0.9"],
    ),
    "muon, augmented, penalty": (
        SEEDS_AND_RATES[:2],
        ["model=cnn_l2", "model.channels=[4,6]", "model.dense=[16]", "optimizer=muon", "augment=affine"],
    ),
    "epoch of other length": (
        SEEDS_AND_RATES[:2],
        ["model=mlp", "+data.epoch_images=70", "optimizer=lion", "loss=focal"],
    ),
}


QUICK = ("mlp",)


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_jobs_have_the_results_that_they_have_alone(sweep, kind):
    jobs, overrides = KINDS[kind]
    choices = sweep(jobs, *overrides)
    results = run_stacked(choices)
    for choice, result in zip(choices, results, strict=True):
        folder = alone(choice)
        assert_same_run(choice.folder, folder)
        assert result == read_metrics(folder)["val_acc"]
        assert read_metrics(choice.folder)["speed"][0] == "stacked"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
@pytest.mark.parametrize("schedule", ["none", "cosine", "onecycle"])
def test_captured_jobs_on_cuda_have_the_results_that_they_have_alone(sweep, optimizer, schedule):
    choices = sweep(SEEDS_AND_RATES, "trainer=cuda", f"optimizer={optimizer}", f"scheduler={schedule}")
    run_stacked(choices)
    for choice in choices:
        assert "captured" in read_metrics(choice.folder)["speed"]
        for row, expected in zip(read_curves(choice.folder), read_curves(alone(choice)), strict=True):
            assert [row[key] for key in ("lr", "train_loss", "val_loss")] == pytest.approx(
                [expected[key] for key in ("lr", "train_loss", "val_loss")], abs=1e-3
            )


def test_a_job_that_diverges_fails_and_the_others_go_on(sweep):
    bad, good = choices = sweep([["lr=1e30"], ["seed=1"]], "model=mlp", "optimizer=sgd")
    failed, result = run_stacked(choices)
    assert "became nan in epoch 1 at lr=1e+30" in str(failed)
    assert read_status(bad.folder)["state"] == "failed"
    assert (bad.folder / "traceback.txt").exists() and not (bad.folder / "metrics.json").exists()
    assert result == read_metrics(good.folder)["val_acc"] and read_status(good.folder)["state"] == "finished"
    assert_same_run(good.folder, alone(good))


@pytest.mark.parametrize("optimisations", ["full", pytest.param("none", marks=pytest.mark.slow)])
def test_a_finished_job_is_continued_as_a_run_that_was_alone(sweep, results, optimisations):
    choices = sweep([["seed=0"], ["seed=1"]], "model=mlp", "scheduler=exponential", "scheduler.gamma=0.5")
    run_stacked(choices)
    found = []
    for folder in (choices[1].folder, alone(choices[1])):
        with pytest.warns(UserWarning, match="was tested 1 time already"):
            run(
                choices[1].cfg | {"epochs": 4, "speed": {"off": ["all"] * (optimisations == "none")}},
                folder,
                resume=True,
            )
        found.append(results(folder))
    assert [row["epoch"] for row in found[0]["curves"]] == [1, 2, 3, 4]
    for row, expected in zip(*(each["curves"] for each in found), strict=True):
        assert row == pytest.approx(expected, abs=1e-4)


def test_an_interrupted_stack_says_so_and_starts_again(sweep, monkeypatch):
    choices = sweep([["seed=0"], ["seed=1"]], "model=mlp")

    def interrupt(*_):
        raise KeyboardInterrupt("terminated (SIGTERM)")

    with monkeypatch.context() as patch:
        patch.setattr("mnist_zoo.stacked.training.Stack._validate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_stacked(choices)
    for choice in choices:
        assert read_status(choice.folder)["state"] == "interrupted"
        assert not (choice.folder / "checkpoints" / "last.ckpt").exists()
    run_stacked(choices)
    assert_same_run(choices[0].folder, alone(choices[0]))


def test_a_job_in_use_or_finished_is_left_alone(sweep):
    choices = sweep([["seed=0"], ["seed=1"]], "model=mlp")
    first = run_stacked(choices[:1])
    before = (choices[0].folder / "metrics.json").stat().st_mtime_ns
    with RunFolder(choices[1].folder):
        results = run_stacked(choices)
    assert results[0] == first[0] and (choices[0].folder / "metrics.json").stat().st_mtime_ns == before
    assert "in use by another process" in str(results[1])


REFUSED = [
    (["ema=0.9"], r"cannot train ema=0.9 .*: it acts on the single steps"),
    (["grad_clip=1"], r"grad_clip=1 .* leave out hydra/launcher=stacked, or use joblib_cores"),
    (["early_stop.monitor=val_loss"], "early_stop.monitor=val_loss .* end together"),
    (["adversary=fgsm"], "adversary=fgsm"),
    (["callbacks=[mnist_zoo.training.frozen.FrozenFeatures]"], "callbacks="),
    (["augment=mixup"], "augment=mixup"),
    (["scheduler=plateau"], "scheduler=plateau"),
    (["logger=wandb"], "logger=wandb"),
    (["trainer.devices=2"], "trainer.devices=2"),
    (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed .* float32"),
    (["trainer.deterministic=true"], "trainer.deterministic"),
    (["+trainer.limit_train_batches=2"], "trainer.limit_train_batches"),
    (["model=knn"], "model=knn .* no network"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[words[0] for words, _ in REFUSED])
def test_a_setting_that_cannot_be_stacked_is_named(config, overrides, message):
    with pytest.raises(NotStackable, match=message):
        require_stackable(config("data=mnist5k", "logger=none", *overrides), "job")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=cnn_dropout"], "model=cnn_dropout with dropout .* random numbers would differ"),
        (["model=capsnet"], "model=capsnet .* computes its own loss"),
        (["model=googlenet"], "model=googlenet"),
    ],
)
def test_a_network_that_cannot_be_stacked_is_named_before_any_job_is_trained(sweep, overrides, message):
    choices = [*sweep([["seed=0"]], "model=mlp"), *sweep([["seed=0"]], *overrides)]
    with pytest.raises(NotStackable, match=message):
        require_stackable_jobs(choices, 64)
    assert not any(choice.folder.exists() for choice in choices)


def test_an_invalid_option_is_named_before_any_job_is_trained(sweep):
    choices = sweep([["seed=0"], ["optimizer.momentum_decay=-1"]], "model=mlp", "optimizer=nadam")
    with pytest.raises(InputError, match="optimizer 'nadam': Invalid momentum_decay"):
        require_stackable_jobs(choices, 64)
    assert not any(choice.folder.exists() for choice in choices)


def test_a_stack_that_breaks_does_not_stop_the_next_one(sweep, monkeypatch):
    choices = sweep([["seed=0"], ["seed=1"], ["batch_size=16"]], "model=mlp")
    fit = Stack.fit

    def broken(stack):
        if len(stack.jobs) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        fit(stack)

    monkeypatch.setattr(Stack, "fit", broken)
    *failed, result = run_stacked(choices)
    assert {str(error) for error in failed} == {"2 jobs at once need too much memory: use hydra.launcher.at_once=1"}
    assert [read_status(choice.folder)["state"] for choice in choices] == ["failed", "failed", "finished"]
    assert result == read_metrics(choices[2].folder)["val_acc"]


def test_a_job_that_is_too_large_alone_is_told_so(sweep, monkeypatch):
    def broken(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stack, "fit", broken)
    [error] = run_stacked(sweep([["seed=0"]], "model=mlp"))
    assert str(error) == "the job needs too much memory: choose a smaller network or batch_size"


@pytest.mark.slow
def test_tensorboard_has_a_record_of_each_job(sweep):
    choices = sweep([["seed=0"], ["seed=1"]], "model=mlp", "logger=tensorboard")
    run_stacked(choices)
    tags, steps = [], []
    for folder in (choices[1].folder, alone(choices[1])):
        record = EventAccumulator(str(folder)).Reload()
        tags.append({kind: sorted(found) for kind, found in record.Tags().items() if isinstance(found, list)})
        steps.append([scalar.step for scalar in record.Scalars("val_acc")])
    assert tags[0] == tags[1] and steps[0] == steps[1]


def test_jobs_of_equal_structure_are_stacked(stripes_config):
    jobs = [["seed=1"], ["model=cnn"], ["lr=0.1"], ["epochs=5"], ["optimizer=sgd"], ["label_smoothing=0.1"]]
    assert stacks([stripes_config(*job) for job in jobs], 64) == [[0, 2, 5], [1], [3], [4]]
    assert stacks([stripes_config(*job) for job in jobs], 2) == [[0, 2], [5], [1], [3], [4]]
    focal = [stripes_config("loss=focal", f"label_smoothing={share}") for share in (0, 0.1)]
    assert stacks(focal, 64) == [[0], [1]]


def test_each_job_has_its_own_batches():
    data = MNISTDataModule("mnist5k", train_fraction=0.05, batch_size=32, augment="affine")
    stacked = StackedBatches(data.train_dataloader(), seeds=(3, 4))
    for place, seed in enumerate((3, 4)):
        own = MNISTDataModule("mnist5k", train_fraction=0.05, batch_size=32, augment="affine", seed=seed)
        batches = own.train_dataloader()
        batches.set_epoch(1)
        found = [pair for part in stacked.epoch(1) for pair in zip(*part, strict=True)]
        assert len(found) == len(stacked) == len(batches)
        for (images, labels), (own_images, own_labels) in zip(found, batches, strict=True):
            torch.testing.assert_close(images[place], own_images)
            assert labels[place].equal(own_labels)


@pytest.mark.slow
def test_a_sweep_of_stacked_jobs_runs_once(command, tmp_path):
    grid = ("-m", "hydra/launcher=stacked", "data=mnist5k", "data.train_fraction=0.05", "model=mlp", "epochs=1")
    line = (*grid, "logger=none", "trainer=cpu", "seed=0,1", "lr=0.01,1e30", "optimizer=sgd", "sweep=s")
    done = command(*line)
    assert done.returncode == 1 and "2 of 4 jobs failed" in done.stderr
    assert "stack 1 of 1: 4 jobs at once" in done.stdout and "seed=1 lr=0.01: validation" in done.stdout
    folders = [path.parent for path in tmp_path.glob("sweeps/s/*/metrics.json")]
    assert len(folders) == 2
    for folder in folders:
        assert {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "job.json"} <= files(folder)
        assert json.loads((folder / "job.json").read_text())["overrides"]
    again = command(*(word.replace(",1e30", "") for word in line))
    assert (again.returncode, again.stderr) == (0, "") and "2 finished" in again.stdout


def test_jobs_that_differ_in_numbers_are_composed_as_hydra_does():
    calls = []

    def composed(words):
        calls.append(words)
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose("config", words, return_hydra_config=True)

    jobs = JobConfigs(composed)
    grid = [["model=mlp", f"seed={seed}", f"lr={lr}", "optimizer.eps=1e-7"] for seed, lr in ((0, 0.1), (1, "1e-3"))]
    grid += [["model=mlp", "seed=3", "lr=.5", "optimizer.eps=1e-7"], ["model=mlp", "seed=3", "model.dropout=0.1"]]
    found = [OmegaConf.to_container(jobs(words), resolve=False) for words in grid]
    assert len(calls) == 2
    for words, cfg in zip(grid, found, strict=True):
        assert cfg == OmegaConf.to_container(composed(words), resolve=False)
