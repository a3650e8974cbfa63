"""One training run, from a config to a finished run folder."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import logging
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchmetrics.functional.classification import multiclass_accuracy

from mnist_zoo import __version__
from mnist_zoo.callbacks import EMA, EpochSeed, Record, progress, silence_lightning
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.config import check, comparable, cores, identity
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.data.datamodule import SPLITS
from mnist_zoo.errors import InputError
from mnist_zoo.plugins import import_plugin
from mnist_zoo.runs import RunFolder, read_curves, read_metrics

LOGGER_EXTRAS = {"mlflow": "MLFlowLogger", "wandb": "WandbLogger"}


def run(
    cfg: DictConfig | dict, folder: str | Path, *, resume: bool | None = None, callbacks: Iterable[Callback] = ()
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
    _keep_freed_memory()
    with folder, _quiet_lightning():
        finished = read_metrics(folder.path)
        if finished is not None and finished["epochs"] >= cfg["epochs"]:
            print(f"{folder.path} is finished; to train on, add epochs={finished['epochs'] + 10}")
            return finished["val_acc"]
        folder.start()
        return _train_and_test(cfg, folder, resume, callbacks)


def load_data(cfg: Mapping) -> MNISTDataModule:
    """Return the DataModule that a composed config describes; raises InputError as `MNISTDataModule` does."""
    for plugin in cfg["plugins"]:
        import_plugin(plugin)
    options = {key: value for key, value in cfg["data"].items() if key != "name"}
    return MNISTDataModule(
        cfg["data"]["name"], batch_size=cfg["batch_size"], seed=cfg["seed"], augment=cfg["augment"], **options
    )


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
    if trainer.strategy.root_device.type == "cpu":
        _warn_of_busy_cores()
    checkpoint = _checkpoint_to_resume(cfg, folder) if resume else None
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        return _test(cfg, folder, trainer, data)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt(f"interrupted; the last whole epoch is in {folder.path}") from error
    finally:
        if cfg["logger"]["name"] == "wandb":
            trainer.logger.experiment.finish()  # or the next job of a sweep would write into this one's record


def _trainer(cfg: dict, folder: RunFolder, record: Record, further: Iterable[Callback]) -> pl.Trainer:
    options = dict(cfg["trainer"])
    if options["accelerator"] == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer=cuda, but torch sees no CUDA device: use trainer=cpu or auto, or check nvidia-smi")
    callbacks = [EpochSeed(cfg["seed"]), record, *progress(record, cfg["progress"]), *further]
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
    """Return the newest checkpoint that can be read and is of this model; None if there is none yet."""
    for path in (folder.last_checkpoint, folder.previous_checkpoint):
        if not path.exists():
            continue
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["hyper_parameters"]
        except Exception as error:  # whatever a damaged file makes torch raise: the one before it is as good
            warnings.warn(f"{path} cannot be read ({type(error).__name__}); trying the one before it", stacklevel=2)
            continue
        if saved["model"] != cfg["model"]:
            raise InputError(f"{path} is of model {saved['model']}, and {cfg['model']} was asked for: start a new run")
        return path
    return None


def _test(cfg: dict, folder: RunFolder, trainer: pl.Trainer, data: MNISTDataModule) -> float:
    """Evaluate the best epoch on every split, the test set among them for the first and only time."""
    best = LitClassifier.load_from_checkpoint(folder.best_checkpoint, map_location="cpu", weights_only=True)
    best_epoch = torch.load(folder.best_checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"] + 1
    evaluator = pl.Trainer(
        accelerator=cfg["trainer"]["accelerator"],
        devices=1,
        precision=cfg["trainer"].get("precision"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    logits = [torch.cat(batches).float().cpu() for batches in evaluator.predict(best, datamodule=data)]
    labels = [data.labels(split) for split in SPLITS]

    rows = read_curves(folder.path)
    speeds = [row["images_per_second"] for row in rows]
    metrics = {
        "model": cfg["model"]["name"],
        "num_params": sum(parameter.numel() for parameter in best.model.parameters()),
        "flops": count_flops(best.model, data.image_shape),
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        **{f"n_{split}": len(y) for split, y in zip(SPLITS, labels, strict=True)},
        "lr": cfg["lr"],
        "batch_size": cfg["batch_size"],
        "seed": cfg["seed"],
        "epochs": cfg["epochs"],
        "epochs_run": len(rows),
        "best_epoch": best_epoch,
        "stopped_early": len(rows) < cfg["epochs"],
    }
    for split, z, y in zip(SPLITS, logits, labels, strict=True):
        metrics |= {f"{split}_{name}": value for name, value in score(z, y).items()}
    metrics |= {
        "fit_seconds": round(sum(row["seconds"] for row in rows), 3),
        "train_images_per_second": sorted(speeds)[len(speeds) // 2],
        "peak_memory_bytes": _peak_memory(trainer),
        "device": _device(evaluator),
        "model_options": {key: value for key, value in cfg["model"].items() if key != "name"},
        "augment": cfg["augment"],
        "optimizer": cfg["optimizer"],
        "scheduler": cfg["scheduler"],
        "config": {key: cfg[key] for key in ("label_smoothing", "grad_clip", "ema", "monitor", "early_stop")},
        "versions": _versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if trainer.logger:
        summary = ("val_acc", "val_loss", "test_acc", "test_loss", "fit_seconds")
        settings = ("model", "data", "lr", "batch_size", "seed", "epochs", "num_params")
        parameters = {key: metrics[key] for key in settings}
        if cfg["logger"]["name"] == "tensorboard":
            trainer.logger.log_hyperparams(parameters, {f"final/{key}": metrics[key] for key in summary})
            from mnist_zoo.report.tensorboard import log_figures  # here: matplotlib is needed for nothing else

            arrays = (data.images("test").numpy(), labels[2].numpy(), logits[2].numpy())
            log_figures(trainer.logger.experiment, *arrays, list(data.class_names))
        else:
            trainer.logger.log_hyperparams(parameters)
            trainer.logger.log_metrics({f"final/{key}": metrics[key] for key in summary})
        trainer.logger.finalize("success")
    predictions = {"logits": logits[2], "labels": labels[2], "val_logits": logits[1], "val_labels": labels[1]}
    folder.finish(
        metrics,
        {key: (t.to(torch.uint8) if "labels" in key else t).numpy() for key, t in predictions.items()},
    )
    print(summary_table(metrics, folder))
    return metrics["val_acc"]


def score(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return accuracy (fraction) and mean cross-entropy (nats) of logits ``(N, C)`` against labels ``(N,)``."""
    accuracy = multiclass_accuracy(logits, labels, logits.shape[1], average="micro").item()  # a float32
    return {
        "acc": round(accuracy * len(labels)) / len(labels),
        "loss": F.cross_entropy(logits, labels).item(),
    }


def count_flops(model: torch.nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the floating-point operations of one image forward: 2 a multiply-add, convolutions and products alone."""
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *image_shape, device=next(model.parameters()).device))
    return counter.get_total_flops()


def summary_table(metrics: Mapping, folder: RunFolder) -> str:
    """Return the table that a run ends with, and where things are."""
    lines = [
        f"{metrics['model']} on {metrics['data']}: {metrics['num_params']:,} parameters, "
        f"{metrics['flops'] / 1e6:.2f} MFLOP an image; best epoch {metrics['best_epoch']} of {metrics['epochs_run']}",
        f"  {'':10} {'images':>8} {'accuracy':>9} {'loss':>8}",
    ]
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        count, accuracy, loss = (metrics[key] for key in (f"n_{split}", f"{split}_acc", f"{split}_loss"))
        lines.append(f"  {name:10} {count:8,} {accuracy:9.4f} {loss:8.4f}")
    lines += [
        f"  trained in {metrics['fit_seconds']:.1f} s on {metrics['device']}, "
        f"{metrics['train_images_per_second']:,.0f} images/s",
        f"  run folder: {folder.path}",
    ]
    if any(folder.path.glob("events.out.tfevents.*")):
        lines.append(f"  curves:     tensorboard --logdir {folder.path.parent}")
    return "\n".join(lines)


def _peak_memory(trainer: pl.Trainer) -> int | None:
    """Return the most bytes used at once: on the GPU if one trained, else the resident size of the process."""
    if trainer.strategy.root_device.type == "cuda":
        return torch.cuda.max_memory_allocated(trainer.strategy.root_device)
    try:
        import resource
    except ImportError:  # Windows does not count it
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _device(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()} {device.type}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    packages = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
    return {"mnist_zoo": __version__, "python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }


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


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next batch instead of handing it back to the system after each.

    Activations of a few MB are otherwise mapped and zeroed anew every step: convolutions on the CPU gain a fifth.
    """
    if platform.libc_ver()[0] == "glibc":
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 * 2**20)
        libc.mallopt(trim_threshold, 2**30)


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
