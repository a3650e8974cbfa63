"""Train the jobs of a sweep at once, from their configs to finished run folders."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from mnist_zoo import speed
from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.optim import build_optimizer, build_scheduler, follows_metric
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.records import METRICS_FILE
from mnist_zoo.speed.fused import has_fused_kernel
from mnist_zoo.speed.names import ALL
from mnist_zoo.speed.several_steps import steps_alone
from mnist_zoo.speed.switch import wanted
from mnist_zoo.stacked.job import StackedJob
from mnist_zoo.stacked.network import StackedNetwork
from mnist_zoo.stacked.settings import Choice, NotStackable, require_stackable, stacks
from mnist_zoo.stacked.training import Stack
from mnist_zoo.training.evaluation import device_name
from mnist_zoo.training.precision import products
from mnist_zoo.training.quiet import quiet_lightning
from mnist_zoo.training.resume import complete, finished_metrics
from mnist_zoo.training.trainer import require_cuda

AT_ONCE = 64  # jobs of a stack at most
PROBE = 2  # images of the step that finds out whether a network can be stacked: batch norm needs two


def run_stacked(choices: Sequence[Choice], *, at_once: int = AT_ONCE) -> list[float | Exception]:
    """Train jobs, those with equal structure at once, and write their run folders as `mnist_zoo.training.run` does.

    A job has the result that it has alone, but for rounding. Its settings of the process (see
    `mnist_zoo.speed.apply_to_process`) are made. After Ctrl-C or SIGTERM, unfinished jobs have no checkpoint.

    Args:
        choices: the jobs.
        at_once: largest number of jobs that train at once.

    Returns:
        For each job the validation accuracy of its best epoch, a fraction, or the error that ended it.

    Raises:
        NotStackable: if a job cannot be trained so. Nothing was trained then.
        InputError: if a setting is invalid for these data. Nothing was trained then, either.
    """
    for choice in choices:
        require_stackable(choice.cfg, choice.folder.name)
        folder = RunFolder(choice.folder)
        if folder.last_checkpoint.exists() and not (folder.path / METRICS_FILE).exists():
            raise NotStackable(
                "a job that has begun", "it has a checkpoint, and a stack starts anew", choice.folder.name
            )
    cfgs = [choice.cfg for choice in choices]
    found = stacks(cfgs, at_once)
    results: dict[int, float | Exception | None] = {}
    loaded = _Loaded()
    with quiet_lightning():  # the block restores warnings, too
        warnings.filterwarnings("ignore", message=".*step\\(\\) is running without CUDA graph capture")  # warm-up
        for numbers in found:
            jobs = [StackedJob(choices[number]) for number in numbers]
            _require_stackable_network(jobs[0], loaded.data(jobs[0].cfg))
            _check_optimizers(jobs)
        for position, numbers in enumerate(found, start=1):
            gc.collect()  # the images and networks of the last stack
            jobs = [StackedJob(choices[number]) for number in numbers]
            data = loaded.data(jobs[0].cfg)
            print(
                f"stack {position} of {len(found)}: {len(jobs)} job{'s' if len(jobs) > 1 else ''} at once", flush=True
            )
            with products(jobs[0].cfg["trainer"]["matmul_precision"]):
                _train(jobs, data)
            results |= {number: job.result for number, job in zip(numbers, jobs, strict=True)}
    return [result for number in range(len(choices)) if (result := results[number]) is not None]


class _Loaded:
    """The images that were loaded last: most sweeps have one data set."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._data: MNISTDataModule

    def data(self, cfg: dict[str, Any]) -> MNISTDataModule:
        key = tuple(repr(cfg.get(name)) for name in ("data", "batch_size", "augment", "plugins", "trainer"))
        if key != self._key:
            self._data = load_data(cfg)
            self._data.setup()
            self._data.device = _device(cfg["trainer"]["accelerator"])
            self._key = key
        return self._data


def _device(accelerator: str) -> torch.device:
    """Return the device on which a Trainer with this accelerator trains."""
    require_cuda(accelerator)
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator=accelerator, devices=1, enable_progress_bar=False, **silent)
    device = trainer.strategy.root_device
    if device.type not in ("cpu", "cuda"):
        raise NotStackable(f"trainer.accelerator={accelerator}", f"{device.type} is neither a CPU nor a GPU of CUDA")
    return device


def _off(cfg: dict[str, Any]) -> list[str]:
    return cfg["speed"].get("off", [])


def _require_stackable_network(job: StackedJob, data: MNISTDataModule) -> None:
    """Raise NotStackable if a network, its optimizer or its schedule needs what a stack does not have."""
    classifier = job.build(data)
    name, place, model = f"model={job.cfg['model']['name']}", job.folder.path.name, classifier.model
    if hasattr(model, "training_loss"):
        raise NotStackable(name, "the network computes its own loss", place)
    if follows_metric(classifier.hparams["scheduler"]["name"]):
        raise NotStackable(f"scheduler={job.cfg['scheduler']['name']}", "it follows a metric of one job", place)
    if not steps_alone(classifier):
        raise NotStackable(f"optimizer={job.cfg['optimizer']['name']}", "it computes the loss of one job again", place)
    if not all(weight.requires_grad for weight in model.parameters()):
        raise NotStackable(name, "some of its weights are frozen", place)
    images = torch.zeros(2, PROBE, *data.image_shape)
    try:
        network = StackedNetwork([model, model], classifier.hparams["loss"], [0.0, 0.0], torch.device("cpu"))
        network.backward(images, torch.zeros(2, PROBE, dtype=torch.int64))
        network.logits(images[0])
    except InputError:
        raise
    except Exception as error:  # vmap has many ways to say that it does not know something
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if "random" in lines[0]:
            raise NotStackable(
                f"{name} with dropout", "its random numbers would differ from those of the job alone", place
            ) from error
        raise NotStackable(name, f"torch.func.vmap: {lines[0]}", place) from error


def _check_optimizers(jobs: Sequence[StackedJob]) -> None:
    """Raise InputError if the options of a job's optimizer or schedule are invalid; the first job is built."""
    weights = [*jobs[0].classifier.model.parameters()]
    for choice in {
        repr([job.cfg[part] for part in ("optimizer", "scheduler", "lr")]): job.cfg for job in jobs
    }.values():
        optimizer = build_optimizer(choice["optimizer"], weights, choice["lr"])
        if choice["scheduler"]["name"] != "none":
            build_scheduler(choice["scheduler"], optimizer, choice["epochs"], 1)


def _train(jobs: Sequence[StackedJob], data: MNISTDataModule) -> None:
    """Train a stack. Every job of it has ended then, with a result or an error."""
    try:
        for job in jobs:
            _open(job)
        going_on = [job for job in jobs if job.result is None]
        if going_on:
            for job in going_on:
                job.build(data)
                job.start(data)
            _fit(going_on, data)
    except Exception as error:  # the next stack may have more luck
        if jobs[0].cfg["debug"]:
            raise
        if isinstance(error, torch.OutOfMemoryError):
            error = InputError(
                f"{len(jobs)} jobs at once need too much memory: use hydra.launcher.at_once={len(jobs) // 2}"
            )
        for job in jobs:
            if job.result is None:
                job.fail(error)
    except BaseException as error:  # Ctrl-C and SIGTERM
        for job in jobs:
            if job.result is None:
                job.close(error)
        raise


def _open(job: StackedJob) -> None:
    """Lock the folder of a job, which has ended if another process uses it, or if it is finished already."""
    try:
        job.open()
    except ZooError as error:
        job.result = error
        return
    finished = finished_metrics(job.folder)
    if finished is not None:
        complete(job.folder)
        job.result = finished["val_acc"]
        job.close()


def _fit(jobs: Sequence[StackedJob], data: MNISTDataModule) -> None:
    off, choice = _off(jobs[0].cfg), jobs[0].classifier.hparams["optimizer"]
    tuned = speed.apply_to_process(off, on_cpu=data.device.type == "cpu")
    fused = bool(wanted(("fused",), off)) and has_fused_kernel(choice)
    capture = data.device.type == "cuda" and ALL not in off
    if data.device.type == "cuda":
        torch.cuda.init()  # nothing has used the device before
        torch.cuda.reset_peak_memory_stats(data.device)
    stack = Stack(jobs, data, fused=fused, capture=capture)
    stack.fit()
    used = ["stacked", *(["fused"] if fused else []), *(["captured"] if capture else []), *tuned]
    stack.finish(device_name(data.device), used)
