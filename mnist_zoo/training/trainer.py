"""From a composed config to Lightning's Trainer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from mnist_zoo.errors import InputError, install_command
from mnist_zoo.runs import RunFolder
from mnist_zoo.training.checkpoints import AtomicCheckpointIO
from mnist_zoo.training.ema import EMA

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # Lightning sets it for deterministic=true
LOGGER_EXTRAS = {"mlflow": "MLFlowLogger", "wandb": "WandbLogger"}  # name in the config: class of Lightning


def build_trainer(cfg: Mapping[str, Any], folder: RunFolder, callbacks: Iterable[Callback]) -> pl.Trainer:
    """Return the Trainer that a config describes, with these callbacks and those that the config asks for.

    Raises:
        InputError: if the config asks for what is not there, or for what Lightning refuses.
    """
    options = dict(cfg["trainer"])
    require_cuda(options["accelerator"])
    options.pop("matmul_precision")  # a setting of the process: mnist_zoo.training.run
    all_callbacks = [*callbacks]
    if cfg["ema"] is not None:
        all_callbacks.append(EMA(cfg["ema"]))
    if cfg["early_stop"]["monitor"] is not None:
        stop = cfg["early_stop"]
        mode = "max" if stop["monitor"].endswith("acc") else "min"
        all_callbacks.append(EarlyStopping(stop["monitor"], stop["min_delta"], stop["patience"], mode=mode))
    options.setdefault("max_epochs", cfg["epochs"])
    # Lightning's default for several devices would start the whole command, with its sweep, in each new process.
    options.setdefault("strategy", "auto" if options["devices"] in (1, "auto") else "ddp_spawn")
    try:
        return pl.Trainer(
            **options,
            callbacks=all_callbacks,
            logger=build_logger(cfg, folder),
            gradient_clip_val=cfg["grad_clip"],
            default_root_dir=folder.path,
            log_every_n_steps=1_000_000,  # nothing is logged within an epoch
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[AtomicCheckpointIO()],
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}") from error


def require_cuda(accelerator: str) -> None:
    """Raise InputError if the accelerator is CUDA and there is none."""
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer=cuda, but torch sees no CUDA device: use trainer=cpu or auto, or check nvidia-smi")


@contextmanager
def deterministic_or_one_line() -> Iterator[None]:
    """Within a block that trains, raise InputError if an operation has no deterministic form and one is required."""
    try:
        yield
    except RuntimeError as error:
        if CUBLAS in str(error):  # read once in a process: at its first matrix product
            raise InputError(
                f"trainer.deterministic=true: this process multiplied matrices on the GPU before without it: set "
                f"{CUBLAS}=:4096:8 in the environment, or start a process for this run alone"
            ) from error
        operation, found, _ = str(error).partition(" does not have a deterministic implementation")
        if not found:
            raise
        raise InputError(
            f"trainer.deterministic=true: {operation} has no deterministic implementation on this device: use "
            f"trainer.deterministic=warn, which only warns of it, or trainer=cpu, whose results can always be repeated"
        ) from error


def build_logger(cfg: Mapping[str, Any], folder: RunFolder) -> Logger | bool:
    """Return the logger that a config asks for; False for none."""
    name = cfg["logger"]["name"]
    if name == "none":
        return False
    if name == "tensorboard":
        from pytorch_lightning.loggers import TensorBoardLogger  # here: it imports TensorBoard

        return TensorBoardLogger(folder.path, name="", version="", default_hp_metric=False)
    if importlib.util.find_spec(name) is None:
        raise InputError(f"logger={name} needs a package that is not installed: {install_command(name)}")
    from pytorch_lightning import loggers

    options = {key: value for key, value in cfg["logger"].items() if key != "name"}
    return getattr(loggers, LOGGER_EXTRAS[name])(**options)
