"""Shared fixtures: a small data set, configs composed as the command line does, the command, and a run's results."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mnist_zoo.data import ImageSet, register_dataset, sources
from mnist_zoo.hydra_app.compose import CONFIG_DIR
from mnist_zoo.hydra_app.registries import registries
from mnist_zoo.models import registry
from mnist_zoo.runs import read_curves, read_metrics

ROOT = Path(__file__).parents[1]

# Two cores, and often a neighbour on them: one thread a process is fastest, and keeps results the same everywhere.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_finish(session: pytest.Session) -> None:
    # `run` collects garbage before it trains. What the tests have imported is frozen, so that it is not searched each
    # time: that took half the time of a small run.
    gc.freeze()


@register_dataset("stripes")
def stripes(root: Path, train: int = 192, test: int = 40) -> ImageSet:
    """Ten classes that a network learns in seconds: a bright bar whose height is the class, in noise."""
    rng = np.random.default_rng(0)

    def draw(count):
        labels = np.arange(count) % 10
        images = rng.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 4 + 2 * label] += 150
        return images.astype(np.uint8), labels

    return ImageSet(*draw(train), *draw(test))


@pytest.fixture(autouse=True)
def fixed_state() -> Iterator[None]:
    """Fix the seed, and undo what a command in this process changed of it: hypothesis needs small numbers."""
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def own_parts(monkeypatch) -> None:
    """Remove the optimizers, schedules, losses and augmentations that a test registers when it ends."""
    for parts in registries().values():
        monkeypatch.setattr(parts, "_parts", dict(parts._parts))


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch, own_parts: None) -> None:
    """Remove the data sets that other tests registered; what an example registers is removed after the test."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    ours = {name: source for name, source in sources._SOURCES.items() if source.__module__.startswith("mnist_zoo")}
    monkeypatch.setattr(sources, "_SOURCES", ours)


@pytest.fixture
def config():
    """Return ``config("lr=0.1", ...)``: the dict that the command line would hand to ``run``."""

    def composed(*overrides: str) -> dict:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)

    return composed


@pytest.fixture
def stripes_config(config):
    """Return a config on the small data set, silent and without TensorBoard, for a network that trains in a second."""

    def composed(*overrides: str) -> dict:
        small = ["data=custom", "data.name=stripes", "model=mlp", "epochs=3", "trainer=cpu", "progress=none"]
        return config(*small, "logger=none", *overrides)

    return composed


@pytest.fixture
def command(tmp_path):
    """Return ``command("lr=0.1", ...)``: the finished process of ``python -m mnist_zoo``, its output under tmp_path."""

    def call(*arguments: str, module: str = "mnist_zoo", cwd: Path = ROOT) -> subprocess.CompletedProcess:
        place = [f"output_dir={tmp_path}"] if module == "mnist_zoo" else []
        line = [sys.executable, "-m", module, *arguments, *place]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)

    return call


# How a run was made, not what came out.
HOW = {"fit_seconds", "train_images_per_second", "peak_memory_bytes", "speed"}


@pytest.fixture
def results():
    """Return ``results(folder)``: a run's metrics, curves and last weights, but neither times nor optimisations."""

    def read(folder: Path) -> dict:
        metrics = {key: value for key, value in read_metrics(folder).items() if key not in HOW}
        curves = [
            {key: value for key, value in row.items() if key not in ("seconds", "images_per_second")}
            for row in read_curves(folder)
        ]
        weights = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        return {
            "metrics": metrics,
            "curves": curves,
            "weights": {key: value.tolist() for key, value in weights.items()},
        }

    return read


@pytest.fixture
def version_0_1_0(tmp_path) -> Path:
    """Return a copy of what version 0.1.0 left behind (see ``tests/fixtures/0.1.0/README.md``)."""
    return Path(shutil.copytree(ROOT / "tests/fixtures/0.1.0", tmp_path / "0.1.0"))
