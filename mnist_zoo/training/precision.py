"""The precision of training: of float32 products, and what ``trainer.precision=auto`` chooses."""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from mnist_zoo import speed
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.errors import InputError
from mnist_zoo.optim import build_optimizer
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.identity import AUTO
from mnist_zoo.training.resume import recorded_origin
from mnist_zoo.training.trainer import require_cuda

FLOAT32, BFLOAT16 = "32-true", "bf16-mixed"
PAYS = 1.1  # least gain for which bfloat16 is chosen: less is within the noise of so short a measurement
SECONDS, LEAST_ROUNDS = 0.5, 3
_measured: dict[str, float] = {}  # so that the jobs of a sweep in this process agree, and measure once


def set_products(precision: str) -> None:
    """Set the precision of float32 products: ``highest``, ``high`` or ``medium``.

    For convolutions on a GPU torch's default is TF32, whatever the precision of matrix products is. Here
    ``highest`` covers both.
    """
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Set the precision of float32 products within a block (see `set_products`)."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_products(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def with_precision(
    cfg: Mapping[str, Any],
    continued: RunFolder | None,
    options: Mapping[str, Any],
    off: Collection[str],
    *,
    brief: bool = False,
) -> dict[str, Any]:
    """Return a config in which ``trainer.precision`` is no longer ``auto``, and print what was chosen.

    Args:
        cfg: a composed config.
        continued: the folder of the run that is continued, whose precision stays; None for a new run.
        options: arguments of `LitClassifier` for this config, with ``image_shape``.
        off: optimisations of speed that are switched off.
        brief: whether to print nothing.
    """
    if cfg["trainer"]["precision"] != AUTO:
        return dict(cfg)
    recorded = recorded_origin(continued).get("config") if continued is not None else None
    if recorded:
        chosen = recorded["trainer"]["precision"]
    else:
        gain = bfloat16_gain(options, cfg["batch_size"], cfg["trainer"]["accelerator"], off)
        chosen = BFLOAT16 if gain >= PAYS else FLOAT32
        if not brief:
            print(f"trainer.precision=auto: {chosen}; a step in bfloat16 is {gain:.2f} x as fast as in float32 here")
    return {**cfg, "trainer": {**cfg["trainer"], "precision": chosen}}


def bfloat16_gain(options: Mapping[str, Any], batch_size: int, accelerator: str, off: Collection[str]) -> float:
    """Return the speed of training steps in bfloat16 over that in float32, on the device that would train.

    Steps on random images alternate between the two. The random state of the process stays as it is.

    Args:
        options: arguments of `LitClassifier`, with ``image_shape``.
        batch_size: images of a step.
        accelerator: as for Lightning's Trainer.
        off: optimisations of speed that are switched off.

    Raises:
        InputError: if that device is neither a CPU nor a GPU of CUDA, or there is none.
    """
    require_cuda(accelerator)
    of_speed = {name: value for name, value in options.items() if name not in ("lr", "scheduler", "label_smoothing")}
    key = json.dumps([of_speed, batch_size, accelerator, sorted(off)], sort_keys=True, default=str)
    if key not in _measured:
        silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
        trainer = pl.Trainer(accelerator=accelerator, devices=1, enable_progress_bar=False, **silent)
        device = trainer.strategy.root_device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            _measured[key] = _gain(options, batch_size, device, off)
    return _measured[key]


def _gain(options: Mapping[str, Any], batch_size: int, device: torch.device, off: Collection[str]) -> float:
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"trainer.precision=auto does not know {device.type}: choose {FLOAT32} or {BFLOAT16}")
    classifier = LitClassifier(**options).to(device).train()
    speed.apply_to_network(classifier.model, device, off)
    optimizer = build_optimizer(classifier.hparams["optimizer"], classifier.model.parameters(), options["lr"])
    images = torch.rand(batch_size, *options["image_shape"], device=device)
    labels = torch.randint(options["num_classes"], (batch_size,), device=device)

    def seconds(bfloat16: bool) -> float:
        def loss() -> Any:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                found, _ = classifier.compute_loss(images, labels)
            found.backward()
            return found

        started = time.perf_counter()
        for _ in range(1 if device.type == "cpu" else 10):
            optimizer.step(loss)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    seconds(False), seconds(True)  # the first step of each allocates, and chooses kernels
    rounds: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS
    while len(rounds) < LEAST_ROUNDS or time.perf_counter() < end:
        rounds.append((seconds(False), seconds(True)))
    return statistics.median(plain for plain, _ in rounds) / statistics.median(bfloat16 for _, bfloat16 in rounds)


def warn_of_waits(precision: str, device: torch.device, optimizer: Mapping[str, Any]) -> None:
    """Warn if each step waits for the GPU: unfused optimizers read from it whether a gradient of float16 overflowed."""
    if precision == "16-mixed" and device.type == "cuda" and not optimizer.get("fused"):
        warnings.warn(
            f"trainer.precision=16-mixed with optimizer={optimizer['name']} waits for the GPU in each step, because it "
            f"is not fused here: use trainer.precision=bf16-mixed, or an optimizer with a fused kernel, such as adam, "
            f"without grad_clip",
            stacklevel=2,
        )
