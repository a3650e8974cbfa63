"""One run of a classical model, from a config to a finished run folder."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from sklearn.exceptions import ConvergenceWarning

from mnist_zoo.classical.estimators import create_estimator, estimator_options
from mnist_zoo.classical.inputs import network_features, pixels
from mnist_zoo.classical.saving import INSTALL, fitted_bytes, save_estimator
from mnist_zoo.classical.scores import split_logits
from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.errors import InputError, install_command
from mnist_zoo.machine import versions
from mnist_zoo.names import ON_FEATURES
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.identity import identity, origin
from mnist_zoo.settings import check
from mnist_zoo.splits import SPLITS
from mnist_zoo.training.evaluation import predictions, processor, score, score_lines, what_data
from mnist_zoo.training.resume import complete, finished_metrics, require_no_run


def run(
    cfg: DictConfig | dict[str, Any],
    folder: str | Path,
    *,
    resume: bool | None = None,
    callbacks: Iterable[Any] = (),
    tune_process: bool = False,
    brief: bool = False,
) -> float:
    """Fit a classical model on the training split, test it once, and write the run folder.

    Args:
        cfg: a composed config.
        folder: the run folder.
        resume: whether the folder may hold a run; by default whether ``cfg.resume`` is set. A finished run is left as
            it is. One that was interrupted is fitted again, because a fit has no state in between.
        callbacks: for the Trainer of ``cnn_svm``'s network. The others have no epochs in which to call them.
        tune_process: for the same network, as `mnist_zoo.training.run.run` takes it.
        brief: whether to print no table at the end: for one run of many.

    Returns:
        The validation accuracy, a fraction.

    Raises:
        InputError: if the config is invalid, or the model cannot be fitted on these images.
        FolderInUse: if another process uses the folder.
    """
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg  # type: ignore[assignment]
    check(plain)
    run_folder = RunFolder(folder)
    if not (plain["resume"] is not None if resume is None else resume):
        require_no_run(run_folder)
    with run_folder:
        finished = finished_metrics(run_folder)
        if finished is None:
            metrics = _fit_and_test(plain, run_folder, callbacks, tune_process)
            if not brief:
                print(_summary(metrics, run_folder))
            return metrics["val_acc"]
        if (plain["epochs"] or 0) > finished.get("epochs", 0):
            raise InputError(f"{folder} is finished: its network is not trained further, start a new run")
        complete(run_folder)
        if not brief:
            print(f"{folder} is finished")
        return finished["val_acc"]


def _fit_and_test(
    cfg: dict[str, Any], folder: RunFolder, callbacks: Iterable[Any], tune_process: bool
) -> dict[str, Any]:
    folder.start()
    chosen = cfg["model"]
    name = chosen["name"]
    estimator: Any = create_estimator(
        name, seed=cfg["seed"], threads=torch.get_num_threads(), **estimator_options(chosen)
    )
    data = load_data(cfg)
    data.setup()
    made_with = {"identity": identity(cfg, data.fingerprint), **origin(cfg, data.fingerprint)}
    folder.start(**made_with, doing=f"fitting {name} to {len(data.labels('train')):,} images")
    if name in ON_FEATURES:
        inputs, of_network = network_features(cfg, folder, data, callbacks, tune_process)
    else:
        inputs, of_network = pixels(data), {}
    if cfg["progress"] != "none":
        print(f"{folder.status['doing']} ...", flush=True)
    with _one_line(name):
        seconds, converged = _fit(estimator, inputs["train"], data)
        folder.update(doing=f"testing {name}")
        started = time.perf_counter()
        logits, temperature = split_logits(estimator, inputs, data.labels("val").numpy(), data.num_classes)
    tensors = {split: torch.from_numpy(values) for split, values in logits.items()}
    metrics = {
        **of_network,
        **_what_was_run(cfg, data, of_network),
        "fit_seconds": round(seconds + of_network.get("fit_seconds", 0.0), 3),
        "predict_seconds": round(time.perf_counter() - started, 3),
        "fitted_bytes": fitted_bytes(estimator),
        "converged": converged,
        "temperature": temperature,
        **{f"{s}_{key}": value for s in SPLITS for key, value in score(tensors[s], data.labels(s)).items()},
        "test_evaluations": 1,
        "device": of_network.get("device", processor()),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if not save_estimator(estimator, folder.path):
        print(f"note: the fitted model is not saved: {install_command(INSTALL)}", file=sys.stderr)
    folder.finish(metrics, predictions(tensors, data))
    return metrics


def _fit(estimator: Any, inputs: Any, data: MNISTDataModule) -> tuple[float, bool]:
    """Fit an estimator; return the seconds, and whether it has converged. Print a line if it has not."""
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(inputs, data.labels("train").numpy())
    seconds = time.perf_counter() - started
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    if not converged:
        warnings.warn("the fit ended before it converged: a larger model.max_iter may change the result", stacklevel=3)
    return seconds, converged


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Within a block, raise InputError where scikit-learn refuses the images or the options."""
    try:
        yield
    except (ValueError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or ["not enough memory"])[0]
        raise InputError(f"{name} cannot be fitted to these images with these options: {reason}") from error


def _what_was_run(cfg: Mapping[str, Any], data: MNISTDataModule, of_network: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": cfg["model"]["name"],
        **what_data(data),
        "seed": cfg["seed"],
        "model_options": {key: value for key, value in cfg["model"].items() if key != "name"},
        "config": {**of_network.get("config", {}), "data": {"normalize": cfg["data"]["normalize"]}},
    }


def _summary(metrics: Mapping[str, Any], folder: RunFolder) -> str:
    """Return the table that a run prints at its end."""
    place = shlex.quote(str(folder.path))
    return "\n".join(
        [
            f"{metrics['model']} on {metrics['data']}: {metrics['fitted_bytes'] / 1e6:,.2f} MB fitted",
            *score_lines(metrics),
            f"  fitted in {metrics['fit_seconds']:.1f} s on {metrics['device']}; all images classified in "
            f"{metrics['predict_seconds']:.1f} s",
            f"  run folder: {folder.path}",
            f"  next:       python -m mnist_zoo.report {place} --open",
        ]
    )
