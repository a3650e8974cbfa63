"""Which jobs can be stacked, and which of them with each other. This module does not import torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_zoo.errors import InputError
from mnist_zoo.settings.classical import is_classical

# Settings of a run whose values may differ within a stack: they change neither shapes nor the order of events.
OWN = ("seed", "lr", "label_smoothing", "optimizer", "scheduler", "output_dir", "sweep", "debug", "progress")
# Of the Trainer. Others choose a part of the data or of the time, or several devices.
TRAINER = {"accelerator", "devices", "precision", "matmul_precision", "deterministic"}
LOGGERS = ("none", "tensorboard")  # the others hold one run in a process


@dataclass(frozen=True)
class Choice:
    """A job of a sweep.

    Attributes:
        cfg: its config, composed and checked.
        folder: its run folder.
        begun: whether the folder has a checkpoint from which the job would continue.
    """

    cfg: dict[str, Any]
    folder: Path
    begun: bool = False


class NotStackable(InputError):
    """Jobs cannot be trained by this launcher. Nothing was trained."""

    def __init__(self, setting: str, reason: str, job: str = ""):
        place = f" ({job})" if job else ""
        super().__init__(
            f"hydra/launcher=stacked cannot train {setting}{place}: {reason}; leave out hydra/launcher=stacked, or use "
            f"joblib_cores"
        )


def require_stackable(cfg: Mapping[str, Any], job: str = "") -> None:
    """Raise NotStackable if a configuration has a setting that jobs of a stack cannot have.

    Args:
        cfg: a composed and checked config.
        job: its name, for the message.
    """
    found = _obstacle(cfg)
    if found is not None:
        raise NotStackable(*found, job)


def _obstacle(cfg: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first setting that cannot be stacked, as ``key=value``, with the reason."""
    name = cfg["model"]["name"]
    if is_classical(cfg):
        return f"model={name}", "it is no network"
    trainer = cfg["trainer"]
    extra = sorted(trainer.keys() - TRAINER)
    batch_by_batch = "it acts on the single steps of one job"
    obstacles = [
        (f"adversary={cfg['adversary']['name']}", "it attacks one network", cfg["adversary"]["name"] != "none"),
        (f"ema={cfg['ema']}", batch_by_batch, cfg["ema"] is not None),
        (f"grad_clip={cfg['grad_clip']}", batch_by_batch, cfg["grad_clip"] is not None),
        (
            f"early_stop.monitor={cfg['early_stop']['monitor']}",
            "jobs of a stack end together",
            cfg["early_stop"]["monitor"] is not None,
        ),
        (f"callbacks={cfg['callbacks']}", "they are called by the Trainer of one job", bool(cfg["callbacks"])),
        (f"augment={cfg['augment'].get('name')}", "it changes batches of one job", "name" in cfg["augment"]),
        (f"scheduler={cfg['scheduler']['name']}", "it follows a metric of one job", "monitor" in cfg["scheduler"]),
        (
            f"logger={cfg['logger']['name']}",
            "it holds one run at a time (logger=none works)",
            cfg["logger"]["name"] not in LOGGERS,
        ),
        (f"trainer.devices={trainer['devices']}", "it trains on one device", trainer["devices"] not in (1, "1")),
        (f"trainer.precision={trainer['precision']}", "it trains in float32", trainer["precision"] != "32-true"),
        ("trainer.deterministic", "it promises no such thing (false works)", trainer["deterministic"] is not False),
        (f"trainer.{extra[0] if extra else ''}", "it is a setting of the Trainer of one job", bool(extra)),
    ]
    return next(((setting, reason) for setting, reason, there in obstacles if there), None)


def stacks(cfgs: Sequence[Mapping[str, Any]], most: int) -> list[list[int]]:
    """Return the numbers of the jobs that train together, for each stack, in the order of the first job of each.

    Jobs of a stack have equal settings but for `OWN`, of which optimizer and schedule have equal names.

    Args:
        cfgs: of all jobs.
        most: jobs of a stack.
    """
    found: dict[str, list[int]] = {}
    for number, cfg in enumerate(cfgs):
        equal: dict[str, Any] = {key: value for key, value in cfg.items() if key not in OWN}
        equal |= {key: cfg[key]["name"] for key in ("optimizer", "scheduler")}
        if cfg.get("loss", {}).get("name", "cross_entropy") != "cross_entropy":
            equal["label_smoothing"] = cfg["label_smoothing"]  # it goes into such a loss as a number
        found.setdefault(json.dumps(equal, sort_keys=True, default=str), []).append(number)
    return [jobs[first : first + most] for jobs in found.values() for first in range(0, len(jobs), most)]
