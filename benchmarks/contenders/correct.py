"""Whether training on a device gives what it gives on the CPU, and all of its modes work: one check each turn."""

from __future__ import annotations

import math
import os
import signal
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

from benchmarks.turn import Turn
from mnist_zoo import LitClassifier, MNISTDataModule, list_models
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.machine import cores
from mnist_zoo.optim import OPTIMIZERS
from mnist_zoo.runs import read_metrics
from mnist_zoo.training.precision import products
from mnist_zoo.training.run import run

SMALL = ("data=mnist5k", "data.train_fraction=0.25", "epochs=1", "progress=none", "logger=none")
LOSSES = ("train_loss", "val_loss", "test_loss")
SAME_TRAINING, SAME_WEIGHTS = 0.05, 1e-4  # largest relative difference of losses after an epoch, and of logits
# With Adam's usual 1e-3, rounding alone changes the losses of ResNet-18 by some percent within this epoch.
SLOW = ("lr=1e-4",)
SAME_SLOW_TRAINING = 0.005
WITH_RANDOM = ("model=cnn_dropout", "augment=affine", "epochs=2", "speed.off=[several_steps]")  # lists: one an epoch
Check = Callable[[Path], str]


class Different(Exception):
    """The result is not the one that was expected."""


def main(turn: Turn, names: list[str], device: str, threads: int, folder: str) -> None:
    """Carry out one check each turn, and report whether it ``passed`` (1 or 0) and in ``detail`` what was found."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # for deterministic runs after others in one process
    if device == "cuda":
        torch.set_num_threads(min(threads, cores()))  # for what it is compared with; nothing is timed here
    known = checks(device)
    warnings.simplefilter("ignore")  # a finished run that is continued warns, and so does float16
    for number, name in enumerate(names):
        turn.wait()
        started = time.perf_counter()
        passed, detail = 1, ""
        try:
            detail = known[name](Path(folder) / str(number))
        except (Exception, KeyboardInterrupt) as error:  # whatever a check runs into is its result
            passed, detail = 0, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        turn.report(0, (time.perf_counter() - started, 0.0), passed=passed, detail=detail)
    turn.wait()


def checks(device: str, quick: bool = False) -> dict[str, Check]:
    """Return the checks of a device by name."""
    models = ("mlp", "cnn_dropout") if quick else tuple(list_models())
    found: dict[str, Check] = {
        f"{model}: an epoch as on the CPU": partial(_as_on_cpu, model, device) for model in models
    }
    found |= {
        "trainer=auto chooses the device": partial(_auto, device),
        "continued after an epoch": partial(_continued, device),
        "SIGTERM within an epoch, continued on the device": partial(_stopped, device, device),
        "SIGTERM within an epoch, continued on the CPU": partial(_stopped, device, "cpu"),
        "trainer.deterministic=true: cnn twice": partial(_twice, device),
        "trainer.precision=auto": partial(_precision_auto, device),
    }
    precisions = ("bf16-mixed", "16-mixed") if device == "cuda" else ("bf16-mixed",)
    optimizers = ("adam", "rmsprop") if quick else tuple(OPTIMIZERS)
    for precision in precisions:
        found |= {f"{precision}, {name}": partial(_mixed, device, precision, name) for name in optimizers}
    if device == "cuda":
        found |= {
            "speed.captured=true: cnn_batchnorm": partial(_captured, device),
            "trainer.deterministic=true: googlenet": partial(_googlenet, device),
            "three runs need the same memory": partial(_memory, device),
            "ddp_spawn on one device": partial(_spawned, device),
        }
    return found


def _train(folder: Path, device: str, *overrides: str, **options: Any) -> dict[str, Any]:
    run(compose_config([*SMALL, f"trainer={device}", *overrides]), folder, brief=True, **options)
    metrics = read_metrics(folder)
    assert metrics is not None  # the run has finished
    return metrics


class _NoDropout(Callback):
    """Switches dropout off, whose random numbers differ between devices."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for layer in pl_module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0


class _Terminated(Callback):
    """Sends SIGTERM to this process in the fourth batch of the second epoch."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        if (trainer.current_epoch, rest[1]) == (1, 3):
            signal.raise_signal(signal.SIGTERM)


def _compare(found: dict[str, Any], expected: dict[str, Any], largest: float = SAME_TRAINING) -> str:
    """Return the largest relative difference of the losses; raises Different if it is too large."""
    gap = max(abs(found[key] - expected[key]) / max(expected[key], 0.1) for key in LOSSES)
    if not gap <= largest:
        losses = "; ".join(f"{key} {found[key]:.4f}, not {expected[key]:.4f}" for key in LOSSES)
        raise Different(losses)
    return f"losses within {gap:.1e}"


def _as_on_cpu(model: str, device: str, folder: Path) -> str:
    """One epoch gives the losses that it gives on the CPU, and the same weights give the same logits."""
    given = (f"model={model}", *SLOW)
    ran = {name: _train(folder / name, name, *given, callbacks=[_NoDropout()]) for name in {"cpu", device}}
    trained = _compare(ran[device], ran["cpu"], SAME_SLOW_TRAINING)
    best = LitClassifier.load_from_checkpoint(folder / "cpu" / "checkpoints" / "best.ckpt", map_location="cpu").eval()
    images, _ = next(iter(MNISTDataModule("mnist5k").test_dataloader()))
    with torch.inference_mode(), products("highest"):
        expected = best(images)
        found = best.to(device)(images.to(device)).cpu()
    gap = ((found - expected).abs().max() / expected.abs().max()).item()
    if not gap <= SAME_WEIGHTS:
        raise Different(f"logits of the same weights differ by {gap:.1e} of the largest")
    return f"{trained}, logits of the same weights within {gap:.1e}"


def _auto(device: str, folder: Path) -> str:
    found = _train(folder, "auto", "model=mlp")["device"]
    if device == "cuda" and found != torch.cuda.get_device_name():
        raise Different(f"trained on {found}")
    return found


def _continued(device: str, folder: Path) -> str:
    through = _train(folder / "through", device, *WITH_RANDOM)
    _train(folder / "run", device, *WITH_RANDOM, "epochs=1")
    return _compare(_train(folder / "run", device, *WITH_RANDOM, resume=True), through)


def _stopped(device: str, then: str, folder: Path) -> str:
    """Dropout draws other numbers on the CPU: it is off if the run goes on there."""
    spies = [] if then == device else [_NoDropout()]
    through = _train(folder / "through", device, *WITH_RANDOM, callbacks=spies)
    try:
        _train(folder / "run", device, *WITH_RANDOM, callbacks=[*spies, _Terminated()])
    except KeyboardInterrupt:
        return _compare(_train(folder / "run", then, *WITH_RANDOM, callbacks=spies, resume=True), through)
    raise Different("the run did not stop")


def _mixed(device: str, precision: str, optimizer: str, folder: Path) -> str:
    overrides = ("model=cnn_dropout", "augment=affine", "grad_clip=1", "ema=0.9", f"optimizer={optimizer}")
    metrics = _train(folder, device, *overrides, f"trainer.precision={precision}")
    if not all(math.isfinite(metrics[key]) for key in LOSSES):
        raise Different("a loss is not finite")
    return f"test_loss {metrics['test_loss']:.3f}"


def _twice(device: str, folder: Path) -> str:
    given = ("model=cnn", "augment=affine", "trainer.deterministic=true")
    first, second = (_train(folder / name, device, *given) for name in ("first", "second"))
    if any(first[key] != second[key] for key in LOSSES):
        raise Different("the losses of two runs differ")
    return "equal to the last bit"


def _googlenet(device: str, folder: Path) -> str:
    try:
        _train(folder, device, "model=googlenet", "trainer.deterministic=true")
    except InputError as error:
        return f"one line: {error}"
    return "it trains"


def _precision_auto(device: str, folder: Path) -> str:
    metrics = _train(folder, device, "model=cnn", "batch_size=512", "trainer.precision=auto")
    return metrics["config"]["trainer"]["precision"]


def _captured(device: str, folder: Path) -> str:
    given = ("model=cnn_batchnorm", "augment=affine")
    ran = _train(folder / "captured", device, *given, "+speed.captured=true")
    if "captured" not in ran["speed"]:
        raise Different("it was not applied")
    return _compare(ran, _train(folder / "plain", device, *given))


def _memory(device: str, folder: Path) -> str:
    peaks = [_train(folder / str(seed), device, f"seed={seed}")["peak_memory_bytes"] for seed in range(3)]
    if max(peaks) > 1.1 * min(peaks):
        raise Different(f"peaks in bytes: {peaks}")
    return f"{max(peaks) / 1e6:.0f} MB"


def _spawned(device: str, folder: Path) -> str:
    given = ("model=mlp", "ema=0.9", "trainer.devices=1", f"trainer.accelerator={device}")
    return _compare(_train(folder / "ddp", "ddp", *given), _train(folder / "one", device, "model=mlp", "ema=0.9"))
