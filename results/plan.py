"""Which runs the tables need, and which of them ``results/`` lacks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.hydra_app.overrides import quote_path
from mnist_zoo.report.published import DEVICES
from results.collect import collect, read_results
from results.experiments import ZOO
from results.predictions import path_of, read


@dataclass(frozen=True)
class Planned:
    """One configuration that the tables need.

    Attributes:
        experiment: its experiment, or `ZOO` for the library's defaults.
        settings: the overrides that choose the configuration.
        seeds: how many, counted from 0.
        minutes: of one seed on one core of a CPU (Intel Xeon with AVX-512), roughly.
    """

    experiment: str
    settings: tuple[str, ...]
    seeds: int
    minutes: float

    def command(self, seed: int) -> list[str]:
        """Return the arguments of ``python -m mnist_zoo`` that train one seed."""
        chosen = ["sweep=zoo"] if self.experiment == ZOO else [f"experiment={self.experiment}"]
        return ["-m", *chosen, *self.settings, f"seed={seed}"]


def _grid(experiment: str, seeds: int, minutes: float, *settings: str) -> list[Planned]:
    """Return one configuration for each text of settings, which spaces separate."""
    return [Planned(experiment, tuple(text.split()), seeds, minutes) for text in settings]


LONGEST = 1e6  # seconds; subprocess refuses more than a platform can count
SCHEMES = ("default", "xavier", "he", "normal")
AUTOENCODER = " pretrained=outputs/pretrained/autoencoder.safetensors"
RATES = ("0.02", "0.01", "0.0002", "0.0001")
PLAN: tuple[Planned, ...] = (
    *_grid("architectures", 10, 0.2, "model=mlp_128_128"),
    *_grid("lr_sweep", 10, 0.3, *(f"model=mlp lr={lr}" for lr in RATES)),
    *_grid("lr_sweep", 3, 0.2, *(f"model=mlp lr={lr} batch_size=256" for lr in RATES)),
    *_grid("lr_sweep_final", 10, 0.8, "model=mlp lr=0.0002"),
    *_grid("architectures_diagnosis", 10, 0.3, "model=mlp_128_128 model.dropout=0.2 early_stop.monitor=null"),
    *_grid("masking", 3, 1.0, *(f"augment.mask={share}" for share in ("0.0", "0.1", "0.3", "0.5"))),
    *_grid(ZOO, 10, 0.3, "model=mlp", "model=mlp_128", "model=mlp_128_128"),
    *_grid("keras_cnn", 5, 1.0, "model=cnn_4"),
    *_grid("keras_cnn", 5, 1.5, "model=cnn"),
    *_grid("dropout", 5, 2.5, "model=cnn", "model=cnn_dropout"),
    *_grid("dropout_search", 3, 3, "model=cnn model.channels=[64,64] model.dense=128 lr=0.001"),
    *_grid("architectures_diagnosis", 5, 3, "model=cnn_l2 model.l2=0.001"),
    *_grid("lr_sweep", 5, 1, *(f"model=lenet5 lr={lr}" for lr in RATES)),
    *_grid("lr_sweep_final", 5, 2, "model=lenet5 lr=0.0002"),
    *_grid("architectures", 5, 3, *(f"model=cnn_{kind}" for kind in ("2dense", "batchnorm", "l2", "2dense_dropout"))),
    *_grid("architectures", 5, 4, "model=cnn_2dense_augmented"),
    *_grid("classical", 1, 0.2, "model=naive_bayes", "model=logistic"),
    *_grid("classical", 1, 3, "model=knn", "model=linear_svm"),
    *_grid("classical", 3, 1, "model=random_forest", "model=decision_tree"),
    *_grid("classical", 1, 15, "model=svm_rbf"),
    *_grid("classical", 1, 6, "model=gradient_boosting"),
    *_grid("cnn_svm", 3, 3, "model=cnn", "model=cnn_svm"),
    *_grid(ZOO, 5, 2, "model=lenet5", "model=cnn_strided"),
    *_grid(ZOO, 5, 4, "model=cnn", "model=cnn_dropout", "model=cnn_2dense", "model=cnn_batchnorm", "model=cnn_l2"),
    *_grid(ZOO, 5, 5, "model=cnn_2dense_dropout"),
    *_grid("architectures", 5, 11, "model=deep_cnn"),
    *_grid(ZOO, 5, 14, "model=two_conv"),
    *_grid(ZOO, 5, 45, "model=double_conv"),
    *_grid("initialisation", 3, 0.5, *(f"model=mlp model.init={scheme}" for scheme in SCHEMES)),
    *_grid("initialisation", 3, 4, *(f"model=cnn model.init={scheme}" for scheme in SCHEMES)),
    *_grid("initialisation", 3, 60, *(f"model=deep_cnn model.init={scheme}" for scheme in SCHEMES)),
    *_grid("ensemble_networks", 3, 3, *(f"model=simple_{name}" for name in ("c1", "c2", "c3", "m5"))),
    *_grid(
        "ensemble_augmentation",
        3,
        4,
        *(f"model=simple_m5 augment.rotate={r} augment.shift={s}" for r in (0.0, 20.0) for s in (0.0, 0.2)),
    ),
    *_grid("ensemble_batchnorm", 3, 4, *(f"model=simple_m5 model.batch_norm={choice}" for choice in ("true", "false"))),
    *_grid("committee", 5, 0.5, *(f"data.filters.width={width}" for width in ("null", 10, 12, 14, 16, 18, 20))),
    *_grid(
        "autoencoder",
        *(3, 0.5),
        *(f"data.train_fraction={share}{start}" for share in (0.01, 0.1, 1.0) for start in ("", AUTOENCODER)),
    ),
    *_grid("dbn", 3, 5, "pretrained=null", "pretrained=outputs/pretrained/dbn.safetensors"),
    *_grid("capsnet", 3, 60, "model.routing=3 model.reconstruction=0.0005"),
    *_grid(ZOO, 3, 80, "model=densenet_bc"),
    *_grid(ZOO, 5, 60, "model=deep_cnn"),
    *_grid(
        "digits_fashion_logged", 3, 40, *(f"data={data} model=two_conv" for data in ("mnist_31500", "fashion_mnist"))
    ),
    *_grid("digits_fashion", 3, 40, *(f"data={data} model=two_conv" for data in ("mnist", "fashion_mnist"))),
    *_grid("double_mnist", 3, 6, "model=cnn_2dense"),
    *_grid("double_mnist", 3, 30, "model=deep_cnn"),
    *_grid(
        "fractions", 3, 40, *(f"model=resnet18 data.train_fraction={share}" for share in ("0.25", "0.5", "0.75", "1.0"))
    ),
    *_grid("digits_fashion_logged", 3, 120, *(f"data={d} model=double_conv" for d in ("mnist_31500", "fashion_mnist"))),
    *_grid("digits_fashion", 3, 120, *(f"data={data} model=double_conv" for data in ("mnist", "fashion_mnist"))),
    *_grid("lr_sweep_final", 3, 75, "model=googlenet lr=0.0002", "model=resnet18 lr=0.0002"),
    *_grid("lr_sweep", 3, 30, *(f"model={model} lr={lr}" for model in ("googlenet", "resnet18") for lr in RATES)),
)


@dataclass(frozen=True)
class Missing:
    """A configuration and the seeds whose row or predictions ``results/`` lacks."""

    planned: Planned
    seeds: tuple[int, ...]

    @property
    def hours(self) -> float:
        """Rough duration of all of them, one after the other."""
        return self.planned.minutes * len(self.seeds) / 60


def train(
    found: Iterable[Missing],
    output_dir: Path,
    results: Path,
    until: float,
    *,
    at_once: int = 1,
    words: Sequence[str] = (),
) -> bool:
    """Train what is missing in its order, and collect each run as it ends.

    Args:
        found: what is missing.
        output_dir: folder of the runs.
        results: folder of the CSV files.
        until: time (`time.monotonic`) at which trainings stop; the same call continues them.
        at_once: number of processes that train, with one thread each if there are several.
        words: further overrides, which must not change a result: ``data.root=DIR``.

    Returns:
        Whether all were trained.

    Raises:
        InputError: if `at_once` is not 1 or more, or a training failed; the others were trained all the same.
    """
    if at_once < 1:
        raise InputError(f"--at-once {at_once}: it must be 1 or more")
    collecting, environment = Lock(), os.environ | ({"OMP_NUM_THREADS": "1"} if at_once > 1 else {})

    def run(planned: Planned, seed: int) -> int | None:
        left = until - time.monotonic()
        if left <= 0:
            return None
        place = quote_path(f"output_dir={output_dir}")
        command = ["-m", "mnist_zoo", *planned.command(seed), place, "logger=none", *words]
        print(shlex.join(["python", *command]), flush=True)
        try:
            status = subprocess.run([sys.executable, *command], env=environment, timeout=min(left, LONGEST)).returncode
        except subprocess.TimeoutExpired:
            return None
        if status == 0:
            with collecting:
                collect(sweeps_of(output_dir, planned.experiment), results)
        return status

    with ThreadPoolExecutor(at_once) as pool:
        statuses = list(
            pool.map(lambda job: run(*job), [(each.planned, seed) for each in found for seed in each.seeds])
        )
    failed = sum(bool(status) for status in statuses)
    if failed:
        raise InputError(f"{failed} trainings failed, for the reasons above: the same command continues them")
    return None not in statuses


def sweeps_of(output_dir: Path, experiment: str) -> list[Path]:
    """Return the folders of an experiment's sweeps with their default names.

    Two experiments may share a configuration, and a run that repeats another one below the same folders is not read.
    """
    found = (output_dir / "sweeps").iterdir()
    return sorted(each for each in found if each.name.partition(",")[0] == experiment)


def missing(results: Path, experiment: str | None = None) -> Iterator[Missing]:
    """Yield what ``results/`` lacks, in the order of `PLAN`.

    Args:
        results: folder of the CSV files.
        experiment: only of this one; by default of all.

    Raises:
        InputError: if no run of the experiment is planned, or a CSV file is damaged.
    """
    known = {planned.experiment for planned in PLAN}
    if experiment not in (None, *known):
        raise unknown("experiment", experiment, known)
    tables: dict[str, pd.DataFrame | None] = {}
    for planned in PLAN:
        if experiment in (None, planned.experiment):
            if planned.experiment not in tables:
                tables[planned.experiment] = read_results(results, planned.experiment)
            done = _done(results, planned, tables[planned.experiment])
            seeds = tuple(seed for seed in range(planned.seeds) if seed not in done)
            if seeds:
                yield Missing(planned, seeds)


def _done(results: Path, planned: Planned, table: pd.DataFrame | None) -> set[int]:
    """Return the seeds of a configuration with a row and with stored predictions."""
    if table is None:
        return set()
    wanted = {word.lower() for word in planned.settings}  # a sweep writes true as True
    asked = ({word.lower() for word in words if word not in DEVICES} for words in table["overrides"])
    rows = table[[words == wanted for words in asked]]
    done: set[int] = set()
    for (label, settings), own in rows.groupby(["label", "settings"]):
        path = path_of(results, planned.experiment, str(label), str(settings))
        if path.exists():
            done |= set(np.intersect1d(read(path)["seeds"], own["seed"]).tolist())
    return done
