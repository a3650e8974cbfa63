"""The checks of the parts that are chosen by name: optimizers, schedules, losses and augmentations.

Plug-ins register further names in the registry of each kind.
"""

from __future__ import annotations

from mnist_zoo.settings.checks import boolean, integer, list_of, number, one_of, optional
from mnist_zoo.settings.groups import MONITORS, MOST_EPOCHS, NamedGroup

_BETAS = list_of(number(0, below=1), "[0.9,0.999]", 2, 2)
_TORCH = {"maximize": boolean, "foreach": optional(boolean)}
_FUSED = {"fused": optional(boolean)}
_ADAM = {"betas": _BETAS, "eps": number(0, 1), "weight_decay": number(0, 1000), "amsgrad": boolean, **_TORCH, **_FUSED}
_DECOUPLED = {
    "betas": _BETAS, "eps": number(0, 1), "weight_decay": number(0, 1000), "decoupled_weight_decay": boolean, **_TORCH,
}  # fmt: skip
_MOMENTUM = {"momentum": number(0, below=1), "weight_decay": number(0, 1000), **_TORCH}
_MIXING = {"alpha": number(above=0, high=100), "probability": number(0, 1)}
_ONECYCLE = {
    "pct_start": number(above=0, below=1),
    "anneal_strategy": one_of("cos", "linear"),
    "div_factor": number(above=0),
    "final_div_factor": number(above=0),
    "three_phase": boolean,
    "cycle_momentum": boolean,
    "base_momentum": number(0, below=1),
    "max_momentum": number(0, below=1),
}
_PLATEAU = {
    "monitor": one_of(*MONITORS),
    "patience": integer(0, MOST_EPOCHS),
    "factor": number(above=0, below=1),
    "min_lr": number(0, 1000),
    "threshold": number(0),
    "threshold_mode": one_of("rel", "abs"),
    "cooldown": integer(0, MOST_EPOCHS),
}

PARTS: dict[str, NamedGroup] = {
    "optimizer": NamedGroup(
        "optimizer",
        {
            "adam": _ADAM,
            "adamw": _ADAM,
            "rmsprop": {"alpha": number(0, below=1), "eps": number(0, 1), "centered": boolean, **_MOMENTUM},
            "nadam": {"momentum_decay": number(0, 1), **_DECOUPLED},
            "radam": _DECOUPLED,
            "lion": {"betas": _BETAS, "weight_decay": number(0, 1000)},
            "muon": {
                "momentum": number(0, below=1),
                "nesterov": boolean,
                "iterations": integer(1, 100),
                "weight_decay": number(0, 1000),
                "betas": _BETAS,
                "eps": number(0, 1),
            },
            "sgd": {"nesterov": boolean, "dampening": number(0, 1), **_MOMENTUM, **_FUSED},
        },
        open=True,
    ),
    "scheduler": NamedGroup(
        "scheduler",
        {
            "none": {},
            "plateau": _PLATEAU,
            "exponential": {"gamma": number(above=0, high=1)},
            "cosine": {"min_lr": number(0)},
            "warmup_cosine": {"warmup": number(0, 1), "min_lr": number(0)},
            "onecycle": _ONECYCLE,
        },
        open=True,
    ),
    "loss": NamedGroup(
        "loss",
        {
            "cross_entropy": {},
            "focal": {"gamma": number(0, 100)},
            "margin": {"upper": number(0, 1), "lower": number(0, 1), "down_weight": number(0, 1000)},
        },
        open=True,
    ),
    "augment": NamedGroup(
        "augmentation",
        {
            "mixup": _MIXING,
            "cutmix": _MIXING,
            "trivial": {"strength": number(above=0, high=1)},
        },
        {
            "rotate": number(0, 180),
            "shift": number(0, 1),
            "zoom": number(0, 0.99),
            "flip_horizontal": boolean,
            "flip_vertical": boolean,
            "erase": number(0, 1),
            "fill": one_of("zeros", "nearest"),
            "mask": number(0, below=1),
            "elastic": number(0, 0.5),
            "stroke": number(0, 5),
            "blur": number(0, 20),
            "background": number(0, 1),
            "noise": number(0, 1),
        },
        required=True,
        open=True,
        nameless=True,
    ),
}
