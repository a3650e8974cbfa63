"""The experiments: each composes to its (paper's) recipe, and its sweep is the whole command."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.arguments import prepare, require_multirun
from mnist_zoo.hydra_app.compose import CONFIG_DIR
from mnist_zoo.runs import read_metrics
from mnist_zoo.training.run import run
from mnist_zoo.training.settings import check

EXPERIMENTS = sorted(path.stem for path in (CONFIG_DIR / "experiment").glob("*.yaml"))


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


# experiment, what the paper states, how many jobs the sweep has (1: no sweep)
RECIPES = [
    ("architectures", {"batch_size": 128, "epochs": 20, "early_stop.monitor": "val_loss", "optimizer.name": "adam"}, 7),
    ("keras_cnn", {"lr": 1e-3, "batch_size": 32, "epochs": 20, "early_stop.patience": 2, "data.val_size": 0.2}, 1),
    ("dropout", {"epochs": 15, "early_stop.monitor": "val_loss", "early_stop.patience": 2}, 2),
    ("dropout_search", {"epochs": 15, "early_stop.patience": 2}, 18),
    (
        "digits_fashion",
        {
            "optimizer.name": "rmsprop",
            "optimizer.alpha": 0.9,
            "batch_size": 640,
            "epochs": 40,
            "data.val_size": 0.25,
            "data.filters.blur": 5,
            "data.filters.sharpen": True,
            "augment.flip_vertical": True,
            "scheduler.factor": 0.1,
            "scheduler.min_lr": 1e-4,
        },
        4,
    ),
    ("lr_sweep", {"batch_size": 64, "epochs": 10, "optimizer.name": "adam"}, 16),
    ("lr_sweep_final", {"batch_size": 64, "epochs": 25, "lr": 0.0002}, 4),
    ("ensemble", {"batch_size": 120, "epochs": 150, "ema": 0.999, "scheduler.gamma": 0.98, "augment.rotate": 20}, 3),
]
# No paper's: what was chosen on validation, and tested with 20 seeds. A change here asks for these 20 runs anew.
FAST99 = {
    "model.name": "cnn_strided",
    "model.channels": [16, 32],
    "scheduler.name": "onecycle",
    "scheduler.pct_start": 0.3,
    "optimizer.name": "adam",
    "lr": 0.01,
    "batch_size": 128,
    "epochs": 3,
    "label_smoothing": 0.05,
    "augment.rotate": 0.0,
    "ema": None,
}
OURS = [("fast99", FAST99, 1)]


@pytest.mark.parametrize(("name", "recipe", "jobs"), RECIPES + OURS, ids=[row[0] for row in RECIPES + OURS])
def test_an_experiment_is_its_recipe(name, recipe, jobs):
    cfg = composed(f"experiment={name}")
    assert {key: OmegaConf.select(cfg, key) for key in recipe} == recipe
    assert cfg.data.fallback is None, "a table on a subset is no reproduction, and no 99 % of MNIST"

    params = cfg.hydra.sweeper.params or {}
    grids = [[f"{key}={value}" for value in _split(str(values))] for key, values in params.items()]
    combinations = list(product(*grids))
    assert len(combinations) == jobs
    for overrides in (combinations[0], combinations[-1]):
        check(composed(f"experiment={name}", *overrides))


def _split(values: str) -> list[str]:
    """Split at the commas outside brackets, as Hydra does."""
    return values.replace("],[", "];[").split(";") if "[" in values else values.split(",")


def test_every_experiment_file_has_a_recipe_and_a_head():
    assert sorted(row[0] for row in RECIPES + OURS) == EXPERIMENTS
    ours = [row[0] for row in OURS]
    for name in EXPERIMENTS:
        head = (CONFIG_DIR / "experiment" / f"{name}.yaml").read_text()
        of_a_paper = ("Assumed" if name != "lr_sweep_final" else "assumed", "Published")
        own = ("Chosen on the 5,000 validation images", "Test accuracy")
        for part in (f"experiment={name}", *(own if name in ours else of_a_paper), "Duration"):
            assert part in head, f"{name}: the head does not say {part}"


def test_fast99_trains_and_tests(config, tmp_path):
    small = ("data=custom", "data.name=stripes", "trainer=cpu", "progress=none", "logger=none", "batch_size=32")
    run(config("experiment=fast99", *small), tmp_path)
    metrics = read_metrics(tmp_path)
    assert (metrics["model"], metrics["num_params"], metrics["epochs_run"]) == ("cnn_strided", 80_554, 3)
    assert metrics["test_acc"] > 0.5, "eighteen steps learn the stripes"


def test_the_augmented_cnn_of_architectures_is_augmented():
    assert composed("experiment=architectures", "model=cnn_2dense_augmented").augment.rotate == 10
    assert composed("experiment=architectures", "model=cnn_2dense").augment.rotate == 0


def test_the_command_line_replaces_what_an_experiment_sweeps():
    arguments = prepare(["-m", "experiment=lr_sweep", "model=mlp", "seed=0,1"])
    assert "hydra.sweeper.params=null" in arguments, "else four models of the experiment times one: equal jobs"
    assert "lr=0.02,0.01,0.0002,0.0001" in arguments, "what the command line leaves alone is still swept"
    assert "sweep=lr_sweep" in arguments
    assert prepare(["-m", "experiment=lr_sweep", "seed=0,1"]) == [
        "-m",
        "experiment=lr_sweep",
        "seed=0,1",
        "sweep=lr_sweep",
    ]


def test_a_single_job_of_a_sweep_can_be_run_when_it_is_named():
    require_multirun("lr_sweep", ["model", "lr"], ["experiment=lr_sweep", "model=mlp", "lr=0.01"])
    with pytest.raises(InputError, match="is a sweep over lr: python -m mnist_zoo -m experiment=lr_sweep"):
        require_multirun("lr_sweep", ["model", "lr"], ["experiment=lr_sweep", "model=mlp"])


def test_a_sweep_without_m_stops_with_the_command_to_use(tmp_path):
    command = [sys.executable, "-m", "mnist_zoo", "experiment=architectures", f"output_dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: experiment=architectures is a sweep over model: python -m mnist_zoo -m")
    assert done.stderr.count("\n") == 1
