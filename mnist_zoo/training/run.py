"""One training run, from a config to a finished run folder."""

from __future__ import annotations

import errno
import gc
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from torch.multiprocessing import ProcessRaisedException

from mnist_zoo import speed
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import load_data
from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors
from mnist_zoo.machine import cores
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.identity import identity, origin
from mnist_zoo.settings import check
from mnist_zoo.training.callbacks import load_callbacks
from mnist_zoo.training.distributed import DistributedClassifier, ProcessSettings, own_error
from mnist_zoo.training.evaluation import evaluate_best
from mnist_zoo.training.network import classifier_options
from mnist_zoo.training.peak_memory import PeakMemory
from mnist_zoo.training.precision import products, warn_of_waits, with_precision
from mnist_zoo.training.progress import progress
from mnist_zoo.training.quiet import quiet_lightning
from mnist_zoo.training.recorder import Recorder
from mnist_zoo.training.resume import Resume, complete, continue_from, finished_metrics, require_no_run
from mnist_zoo.training.seeding import EpochSeed
from mnist_zoo.training.trainer import build_trainer, deterministic_or_one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def run(
    cfg: DictConfig | dict[str, Any],
    folder: str | Path,
    *,
    resume: bool | None = None,
    callbacks: Iterable[Callback] = (),
    tune_process: bool = False,
    brief: bool = False,
) -> float:
    """Train a network, choose its best epoch on the validation split, test it once, and write the run folder.

    Args:
        cfg: a composed config with the keys of ``conf/config.yaml``.
        folder: the run folder.
        resume: whether to continue a run that the folder holds (as the jobs of a sweep do), or to refuse; by default
            whether ``cfg.resume`` is set.
        callbacks: further callbacks for Lightning's Trainer.
        tune_process: whether to make the process-wide settings of `mnist_zoo.speed.apply_to_process`, as the command
            line does. They stay after the run.
        brief: whether to print no table at the end, and no lines above a progress bar: for one run of many.

    Returns:
        The objective: validation accuracy of the best epoch, a fraction.

    Raises:
        InputError: if the config is invalid or asks for what is not there.
        FolderInUse: if another process trains in the folder.
        DivergedError: if the loss became NaN or infinite.
    """
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg  # type: ignore[assignment]
    check(plain)
    resume = plain["resume"] is not None if resume is None else resume
    run_folder = RunFolder(folder)
    if not resume:
        require_no_run(run_folder)
    tuned = _tuned(plain) if tune_process else None
    with run_folder, quiet_lightning(), products(plain["trainer"]["matmul_precision"]):
        finished = finished_metrics(run_folder)
        if finished is not None and finished["epochs"] >= plain["epochs"]:
            complete(run_folder)
            if not brief:
                print(f"{run_folder.path} is finished; to continue training, add epochs={finished['epochs'] + 10}")
            return finished["val_acc"]
        # A Trainer and its loops refer to each other. Only this frees the images and the network of the last run, and
        # Python itself does it so rarely that the memory of a sweep grows from job to job.
        gc.collect()
        with _full_disk_is_one_line(run_folder):
            return _train_and_test(plain, run_folder, finished, resume, callbacks, tuned, brief)


def _tuned(cfg: dict[str, Any]) -> list[str]:
    """Make the settings of this process, and return the names of the optimisations that were applied."""
    return speed.apply_to_process(switched_off(cfg), on_cpu=cfg["trainer"]["accelerator"] == "cpu")


def switched_off(cfg: dict[str, Any]) -> list[str]:
    """Return the optimisations that a config switches off; configs of version 0.1.0 have no ``speed``."""
    return cfg.get("speed", {}).get("off", [])


def _capture(cfg: dict[str, Any]) -> bool:
    """Return whether a config asks for CUDA graphs."""
    return cfg.get("speed", {}).get("captured", False)


@contextmanager
def _full_disk_is_one_line(folder: RunFolder) -> Iterator[None]:
    """Within a block, raise StorageError if the disk is full or read-only for a library, such as TensorBoard."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        with storage_errors(folder.path):
            raise


def _reopen(folder: RunFolder, finished: dict[str, Any]) -> None:
    """Make a finished run unfinished, and warn that its test split will be read again."""
    times = finished.get("test_evaluations", 1)
    warnings.warn(
        f"{folder.path} was tested {times} time{'s' if times > 1 else ''} already, and will be tested again. A run "
        f"that is continued because of its test accuracy ends with one that is too high (metrics.json counts the "
        f"tests: test_evaluations)",
        stacklevel=3,
    )
    folder.start(test_evaluations=times)
    folder.reopen()


def _train_and_test(
    cfg: dict[str, Any],
    folder: RunFolder,
    finished: dict[str, Any] | None,
    resume: bool,
    callbacks: Iterable[Callback],
    tuned: list[str] | None,
    brief: bool,
) -> float:
    if finished is None:
        folder.start()
    pl.seed_everything(cfg["seed"], verbose=False)
    data = load_data(cfg)
    data.setup()
    checkpoint, changes = continue_from(cfg, data.fingerprint, folder) if resume else (None, [])
    options = classifier_options(cfg, data)
    cfg = with_precision(cfg, None if checkpoint is None else folder, options, switched_off(cfg), brief=brief)
    recorder = Recorder(folder, cfg["monitor"], cfg.get("adversary", {}).get("warmup", 0))
    callbacks = [*callbacks, *load_callbacks(cfg.get("callbacks", ()))]
    settings = ProcessSettings(cfg["trainer"]["matmul_precision"], None if tuned is None else switched_off(cfg))
    shown, resumed = progress(recorder, cfg["progress"], brief=brief), Resume()
    own = (EpochSeed(cfg["seed"]), PeakMemory(folder), resumed)
    trainer = build_trainer(cfg, folder, [settings, *own, recorder, *shown, *callbacks])
    _check_shares(cfg, trainer)
    classifier = (DistributedClassifier if trainer.world_size > 1 else LitClassifier)(**options)
    optimisations = speed.apply(classifier, data, trainer, switched_off(cfg), capture=_capture(cfg)) + (tuned or [])
    warn_of_waits(trainer.precision, trainer.strategy.root_device, classifier.hparams["optimizer"])
    # Only now is anything deleted: a run that cannot be continued, or start again, keeps its files.
    if checkpoint is None and changes:
        folder.clear()
    if finished is not None:
        _reopen(folder, finished)
    folder.start(identity=identity(cfg, data.fingerprint), **origin(cfg, data.fingerprint))
    if checkpoint is not None and changes:
        folder.update(changes=[*folder.status.get("changes", []), *changes])
    try:
        with resumed.restoring(checkpoint), deterministic_or_one_line():
            trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        fitted = cfg | {"model": cfg["model"] | classifier.hparams["model"]}  # with the image_size that the data gave
        return evaluate_best(fitted, folder, trainer, data, optimisations, switched_off(cfg), brief=brief)
    except SystemExit as error:  # Lightning turns Ctrl-C into it
        saved = "the state of training" if recorder.saved_within_epoch else "the last whole epoch"
        kept = f"{saved} is in {folder.path}" if folder.last_checkpoint.exists() else "no epoch was complete"
        raise KeyboardInterrupt(f"interrupted; {kept}") from error
    except ProcessRaisedException as error:
        raise own_error(error) from error
    finally:
        if cfg["logger"]["name"] == "wandb":
            trainer.logger.experiment.finish()  # type: ignore[union-attr]  # the next job of a sweep gets its own record


def _check_shares(cfg: dict[str, Any], trainer: pl.Trainer) -> None:
    """Raise InputError if processes cannot share a batch, before they start; warn if their cores are busy."""
    if cfg["batch_size"] % trainer.world_size:
        raise InputError(
            f"batch_size={cfg['batch_size']} cannot be shared by {trainer.world_size} processes: use a multiple, or "
            f"another trainer.devices"
        )
    if trainer.strategy.root_device.type == "cpu":
        _warn_of_busy_cores()


def _warn_of_busy_cores() -> None:
    """Warn if the threads of this process have to share cores with other work: they wait for each other actively."""
    threads, available = torch.get_num_threads(), cores()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads > 1 and busy + threads > 1.5 * available:
        warnings.warn(
            f"{threads} threads share {available} cores, and {busy:.1f} cores are busy with other work: training can "
            f"be many times slower; set OMP_NUM_THREADS=1 (in a sweep, hydra/launcher=joblib_cores does this)",
            stacklevel=2,
        )
