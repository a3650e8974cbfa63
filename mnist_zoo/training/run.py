"""One training run, from a config to a finished run folder."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.multiprocessing import ProcessRaisedException

from mnist_zoo import __version__
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.machine import cores
from mnist_zoo.runs import RunFolder, read_metrics
from mnist_zoo.runs.identity import comparable, identity
from mnist_zoo.speed import process
from mnist_zoo.training.callbacks import EMA, Bar, EpochSeed, Record, TunedProcess, progress, silence_lightning
from mnist_zoo.training.evaluation import count_flops, evaluate_best
from mnist_zoo.training.settings import check

GROUPED_FLOPS = 10e6  # of an image forward: on a CPU the step of a larger network dwarfs Lightning's bookkeeping
LOGGER_EXTRAS = {"mlflow": "MLFlowLogger", "wandb": "WandbLogger"}


def run(
    cfg: DictConfig | dict,
    folder: str | Path,
    *,
    resume: bool | None = None,
    callbacks: Iterable[Callback] = (),
    tune_process: bool = False,
) -> float:
    """Train, choose the epoch by validation, test once, and write the run folder.

    Args:
        cfg: a composed config with the keys of ``conf/config.yaml``.
        folder: the run folder.
        resume: whether to go on with a run that the folder holds already (the jobs of a sweep do), or to refuse;
            by default as ``cfg.resume`` says.
        callbacks: further callbacks of Lightning's for the training.

    Returns:
        The objective: validation accuracy of the best epoch, a fraction.

    Raises:
        InputError: if the config asks for something that cannot be.
        FolderInUse: if another process trains in the folder.
        DivergedError: if the loss became NaN or infinite.
    """
    cfg = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg
    check(cfg)
    resume = cfg["resume"] is not None if resume is None else resume
    folder = RunFolder(folder)
    if not resume and (folder.path / "status.json").exists():
        raise InputError(f"{folder.path} holds a run already: continue it with resume={folder.path}, or choose another")
    process.tune(cfg["trainer"]["matmul_precision"])
    with folder, _quiet_lightning():
        finished = read_metrics(folder.path)
        if finished is not None and finished["epochs"] >= cfg["epochs"]:
            print(f"{folder.path} is finished; to train on, add epochs={finished['epochs'] + 10}")
            return finished["val_acc"]
        if finished is not None:
            _reopen(folder, finished)
        folder.start()
        return _train_and_test(cfg, folder, resume, callbacks)


def _reopen(folder: RunFolder, finished: dict) -> None:
    """Make a finished run an unfinished one, and say that its test set will be looked at once more."""
    times = finished.get("test_evaluations", 1)
    warnings.warn(
        f"{folder.path} was tested {times} time{'s' if times > 1 else ''} already, and will be again: whoever trains "
        f"on because of a test figure gets one that is too good (metrics.json counts them, test_evaluations)",
        stacklevel=3,
    )
    folder.update(test_evaluations=times)
    folder.reopen()


def _train_and_test(cfg: dict, folder: RunFolder, resume: bool, callbacks: Iterable[Callback]) -> float:
    pl.seed_everything(cfg["seed"], verbose=False)
    data = load_data(cfg)
    data.setup()
    model = LitClassifier(
        cfg["model"],
        lr=cfg["lr"],
        optimizer=cfg["optimizer"],
        scheduler=cfg["scheduler"],
        label_smoothing=cfg["label_smoothing"],
        num_classes=data.num_classes,
        in_chans=data.image_shape[0],
    )
    folder.update(
        identity=identity(cfg, data.fingerprint),
        config=comparable(cfg),
        data_fingerprint=data.fingerprint,
        version=__version__,
    )

    record = Record(folder, cfg["monitor"])
    trainer = _trainer(cfg, folder, record, callbacks)
    if cfg["batch_size"] % trainer.world_size:  # here, not in each of the processes
        raise InputError(
            f"batch_size={cfg['batch_size']} cannot be shared by {trainer.world_size} processes: use a multiple, or "
            f"another trainer.devices"
        )
    if trainer.strategy.root_device.type == "cpu":
        _warn_of_busy_cores()
    data.grouped = _may_group(trainer, model, data, cfg)
    model.automatic_optimization = not data.grouped
    checkpoint = _checkpoint_to_resume(cfg, folder) if resume else None
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        return evaluate_best(cfg, folder, trainer, data)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        what = "what was trained so far" if record.saved_within_epoch else "the last whole epoch"
        raise KeyboardInterrupt(f"interrupted; {what} is in {folder.path}") from error
    except ProcessRaisedException as error:
        raise _own_error(error) from error
    finally:
        if cfg["logger"]["name"] == "wandb":
            trainer.logger.experiment.finish()  # or the next job of a sweep would write into this one's record


def _own_error(error: ProcessRaisedException) -> Exception:
    """Return the error that one of DDP's processes ended with, if it is one of ours; else what holds its traceback."""
    name, _, message = str(error).rstrip().splitlines()[-1].partition(": ")
    own = {f"{kind.__module__}.{kind.__name__}": kind for kind in (InputError, DivergedError)}
    return own[name](message) if name in own else error


def _trainer(cfg: dict, folder: RunFolder, record: Record, further: Iterable[Callback]) -> pl.Trainer:
    options = dict(cfg["trainer"])
    if options["accelerator"] == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer=cuda, but torch sees no CUDA device: use trainer=cpu or auto, or check nvidia-smi")
    tuned = TunedProcess(options.pop("matmul_precision"))
    callbacks = [tuned, EpochSeed(cfg["seed"]), record, *progress(record, cfg["progress"]), *further]
    if cfg["ema"] is not None:
        callbacks.append(EMA(cfg["ema"]))
    if cfg["early_stop"]["monitor"] is not None:
        stop = cfg["early_stop"]
        mode = "max" if stop["monitor"].endswith("acc") else "min"
        callbacks.append(EarlyStopping(stop["monitor"], stop["min_delta"], stop["patience"], mode=mode))
    options.setdefault("max_epochs", cfg["epochs"])
    # Lightning's default for several devices starts the whole command again in each, sweep and all.
    options.setdefault("strategy", "auto" if options["devices"] in (1, "auto") else "ddp_spawn")
    try:
        return pl.Trainer(
            **options,
            callbacks=callbacks,
            logger=_logger(cfg, folder),
            gradient_clip_val=cfg["grad_clip"],
            default_root_dir=folder.path,
            log_every_n_steps=1_000_000,  # nothing is logged within an epoch
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}") from error


def _may_group(trainer: pl.Trainer, model: LitClassifier, data: MNISTDataModule, cfg: Mapping) -> bool:
    """Return whether batches may come in lists: whether that pays, and nothing here counts or acts by the batch.

    `LitClassifier` then pays Lightning's bookkeeping once a list. Hooks of the backward pass and of the optimizer,
    ``global_step``, schedules and precision behave as ever; whatever does not, keeps its batches.
    """
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if on_cpu and count_flops(model.model, data.image_shape) > GROUPED_FLOPS:
        return False
    # An average of the weights is updated at a batch's end; manual optimisation never calls the third.
    by_batch = ("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad")
    others = [callback for callback in trainer.callbacks if not isinstance(callback, (EpochSeed, Record, Bar))]
    return (
        isinstance(trainer.strategy, SingleDeviceStrategy)
        and not any(is_overridden(hook, callback) for hook in by_batch for callback in others)
        and cfg["scheduler"]["name"] != "plateau"  # stepped between batches, with what validation found
        and trainer.gradient_clip_val is None
        and trainer.accumulate_grad_batches == 1
        and (trainer.limit_train_batches, trainer.overfit_batches, trainer.val_check_interval) == (1.0, 0.0, 1.0)
        and (trainer.max_steps, trainer.min_steps) == (-1, None)
    )


def _logger(cfg: dict, folder: RunFolder):
    name = cfg["logger"]["name"]
    if name == "none":
        return False
    if name == "tensorboard":
        from pytorch_lightning.loggers import TensorBoardLogger

        return TensorBoardLogger(folder.path, name="", version="", default_hp_metric=False)
    if importlib.util.find_spec(name) is None:
        raise InputError(f"logger={name} needs a package that is not installed: pip install 'mnist_zoo[{name}]'")
    from pytorch_lightning import loggers

    options = {key: value for key, value in cfg["logger"].items() if key != "name"}
    return getattr(loggers, LOGGER_EXTRAS[name])(**options)


def _checkpoint_to_resume(cfg: dict, folder: RunFolder) -> Path | None:
    """Return the newest checkpoint that can be read and is of this model; None if the run must start anew."""
    best, last = folder.best_checkpoint, folder.last_checkpoint
    of_last_epoch = best.exists() and last.exists() and best.samefile(last)  # which is then repeated, and saved again
    if best.exists() and not of_last_epoch and _read_checkpoint(best) is None:
        warnings.warn(f"{best} cannot be read: the best epoch so far is lost; starting the run anew", stacklevel=2)
        return None
    for path in (last, folder.previous_checkpoint):
        if not path.exists():
            continue
        saved = _read_checkpoint(path)
        if saved is None:
            warnings.warn(f"{path} cannot be read; trying the one before it", stacklevel=2)
            continue
        saved = saved["hyper_parameters"]
        if saved["model"] != cfg["model"]:
            raise InputError(f"{path} is of model {saved['model']}, and {cfg['model']} was asked for: start a new run")
        return path
    return None


def _read_checkpoint(path: Path) -> dict | None:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever a damaged file makes torch raise
        return None


def _warn_of_busy_cores() -> None:
    """Warn if this process's threads will have to share cores with others: they wait for each other by spinning."""
    threads, available = torch.get_num_threads(), cores()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads > 1 and busy + threads > 1.5 * available:
        warnings.warn(
            f"{threads} threads want the {available} cores, and {busy:.1f} are busy with other work: training can be "
            f"many times slower so; set OMP_NUM_THREADS=1 (a sweep: hydra/launcher=joblib_cores sees to it)",
            stacklevel=2,
        )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning while a run prints its own lines, and give its loggers their levels back."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
