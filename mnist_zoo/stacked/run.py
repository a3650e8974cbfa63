"""Train the jobs of a sweep at once, from their configs to finished run folders."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from mnist_zoo import speed
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.speed.fused import has_fused_kernel
from mnist_zoo.speed.names import ALL
from mnist_zoo.speed.switch import wanted
from mnist_zoo.stacked.job import StackedJob
from mnist_zoo.stacked.loaded import Loaded
from mnist_zoo.stacked.settings import Choice, stacks
from mnist_zoo.stacked.training import Stack
from mnist_zoo.training.evaluation import device_name
from mnist_zoo.training.precision import products
from mnist_zoo.training.quiet import quiet_lightning
from mnist_zoo.training.resume import complete, finished_metrics

AT_ONCE = 64  # jobs of a stack at most


def run_stacked(choices: Sequence[Choice], *, at_once: int = AT_ONCE) -> list[float | Exception]:
    """Train jobs, those with equal structure at once, and write their run folders as `mnist_zoo.training.run` does.

    A job has the result that it has alone, but for rounding. Its settings of the process (see
    `mnist_zoo.speed.apply_to_process`) are made. After Ctrl-C or SIGTERM, unfinished jobs have no checkpoint.

    Args:
        choices: the jobs, which `mnist_zoo.stacked.checking.require_stackable_jobs` accepts.
        at_once: largest number of jobs that train at once.

    Returns:
        For each job the validation accuracy of its best epoch, a fraction, or the error that ended it.
    """
    found = stacks([choice.cfg for choice in choices], at_once)
    results: dict[int, float | Exception | None] = {}
    loaded = Loaded()
    with quiet_lightning():  # the block restores warnings, too
        warnings.filterwarnings("ignore", message=".*step\\(\\) is running without CUDA graph capture")  # warm-up
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


def _off(cfg: dict[str, Any]) -> list[str]:
    return cfg["speed"].get("off", [])


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
            error = _too_much_memory(sum(job.result is None for job in jobs))
        for job in jobs:
            if job.result is None:
                job.fail(error)
    except BaseException as error:  # Ctrl-C and SIGTERM
        for job in jobs:
            if job.result is None:
                job.close(error)
        raise


def _too_much_memory(jobs: int) -> InputError:
    if jobs == 1:
        return InputError("the job needs too much memory: choose a smaller network or batch_size")
    return InputError(f"{jobs} jobs at once need too much memory: use hydra.launcher.at_once={jobs // 2}")


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
