"""The checks of all settings: of the configuration itself, and of each group.

A group of the first kind (``GROUPS``) has the same keys whatever was chosen. In a group of the second kind (``NAMED``)
the key ``name`` says which keys there are: the options of that network, optimizer, schedule, logger or data set.
"""

from __future__ import annotations

from collections.abc import Sequence

from mnist_zoo.errors import unknown
from mnist_zoo.settings.checks import (
    Check,
    boolean,
    class_name,
    duration,
    either,
    file_name,
    folder,
    integer,
    list_of,
    module_name,
    number,
    one_of,
    optional,
    text,
)
from mnist_zoo.settings.classical import FEATURE_MODELS
from mnist_zoo.settings.groups import (
    LARGEST_IMAGE,
    LARGEST_SEED,
    MONITORS,
    MOST_CHANNELS,
    MOST_DEVICES,
    MOST_EPOCHS,
    MOST_FOLDS,
    MOST_IMAGES,
    MOST_STEPS,
    MOST_UNITS,
    Group,
    NamedGroup,
)
from mnist_zoo.settings.parts import PARTS
from mnist_zoo.speed.names import ALL, OPTIMISATIONS

PRECISIONS = (
    "auto",
    *("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"),
    *("32", "16", "64", "bf16", 32, 16, 64),
)
STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_find_unused_parameters_true")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")
SCHEMES = ("default", "xavier", "keras", "he", "normal")
EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")


def _optimisations(value: object) -> str | None:
    problem = list_of(text, f"[{OPTIMISATIONS[0]},{OPTIMISATIONS[1]}]")(value)
    names = (ALL, *OPTIMISATIONS)
    if problem is None and isinstance(value, Sequence):
        return next((str(unknown("optimisation", name, names)) for name in value if name not in names), None)
    return problem


def _val_size(value: object) -> str | None:
    problem = number(above=0, high=10 * MOST_IMAGES)(value)
    if problem is None and isinstance(value, float) and value >= 1:
        return "a fraction must be below 1 (a number of images must be an integer)"
    return problem


def _depth(value: object) -> str | None:
    """Check the depth of a DenseNet-BC: three blocks of layers with two convolutions, and four layers beside them."""
    problem = integer(10, 1000)(value)
    if problem is None and isinstance(value, int) and value % 6 != 4:
        return "it must be 4 more than a multiple of 6, such as 22, 40 or 100"
    return problem


def _share(value: object) -> str | None:
    return number(above=0, high=1.0)(value) if isinstance(value, float) else "it must have a decimal point"


# Lightning's limit_..._batches and val_check_interval: 1 is one batch, and 1.0 is all batches.
_BATCHES = either(
    integer(1, MOST_STEPS),
    _share,
    otherwise="it must be a number of batches (an integer), or a share of them above 0 and at most 1.0",
)

SETTINGS: dict[str, Check] = {
    "lr": number(above=0),
    "batch_size": integer(1, MOST_IMAGES),
    "epochs": integer(1, MOST_EPOCHS),
    "seed": integer(0, LARGEST_SEED),
    "label_smoothing": number(0, 0.99),
    "grad_clip": optional(number(above=0)),
    "ema": optional(number(above=0, high=0.99999)),
    "monitor": one_of(*MONITORS),
    "output_dir": folder,
    "sweep": optional(file_name),
    "resume": optional(text),
    "pretrained": optional(text),
    "on_change": one_of("stop", "rerun", "keep"),
    "plugins": list_of(module_name, "[my_package.my_module]", most=100),
    "callbacks": list_of(class_name, "[my_package.my_module.MyCallback]", most=100),
    "progress": one_of("auto", "bar", "lines", "none"),
    "debug": boolean,
}


TRAINER_INSTEAD = {
    "logger": "logger=NAME",
    "callbacks": "callbacks=[my_package.my_module.MyCallback]",
    "gradient_clip_val": "grad_clip=NUMBER",
    "default_root_dir": "output_dir=DIR",
    "fast_dev_run": "trainer=smoke",
    "overfit_batches": "data.train_fraction=SHARE",
    "enable_progress_bar": "progress=bar, lines or none",
}
GROUPS: dict[str, Group] = {
    "early_stop": Group(
        {
            "monitor": optional(one_of(*MONITORS)),
            "patience": integer(0, MOST_EPOCHS),
            "min_delta": number(0, 1000),
        }
    ),
    "trainer": Group(
        {
            "accelerator": one_of("auto", "cpu", "gpu", "cuda", "mps"),
            "devices": either(
                integer(1, MOST_DEVICES),
                one_of("auto", -1),
                list_of(integer(0, MOST_DEVICES), "[0,1]", 1, MOST_DEVICES),
                otherwise=f"it must be a number of devices (1 to {MOST_DEVICES}), auto, or a list such as [0,1]",
            ),
            "precision": one_of(*PRECISIONS),
            "matmul_precision": one_of("highest", "high", "medium"),
            "deterministic": either(boolean, one_of("warn"), otherwise="it must be true, false or warn"),
        },
        {
            "strategy": one_of(*STRATEGIES),
            "num_nodes": integer(1, MOST_DEVICES),
            "max_epochs": integer(1, MOST_EPOCHS),
            "min_epochs": optional(integer(1, MOST_EPOCHS)),
            "max_steps": integer(1, MOST_STEPS),
            "min_steps": optional(integer(1, MOST_STEPS)),
            "max_time": optional(duration),
            "limit_train_batches": _BATCHES,
            "limit_val_batches": _BATCHES,
            "val_check_interval": _BATCHES,
            "accumulate_grad_batches": integer(1, MOST_IMAGES),
            "gradient_clip_algorithm": one_of("norm", "value"),
            "benchmark": boolean,
            "detect_anomaly": boolean,
            "sync_batchnorm": boolean,
            "profiler": optional(one_of("simple", "advanced")),
        },
        TRAINER_INSTEAD,
    ),
    "speed": Group({"off": _optimisations}, {"captured": boolean}),
}  # fmt: skip


def _image_size(least: int) -> Check:
    """Return the check of the side of square images, or of height and width; null is the size of the data's images."""
    side = integer(least, LARGEST_IMAGE)
    return optional(
        either(
            side,
            list_of(side, "[28,56]", 2, 2),
            otherwise=f"it must be {least} or more: a number of pixels, or a list of height and width such as [28,56]",
        )
    )


_CNN = {
    "image_size": _image_size(1),
    "channels": list_of(
        either(
            integer(1, MOST_CHANNELS), list_of(integer(1, MOST_CHANNELS), "[32,32]", 1),
            otherwise=f"each entry must be a number of channels (1 to {MOST_CHANNELS:,}) or a list of them",
        ),
        "[32,64]",
        1,
    ),
    "kernel_size": either(
        integer(1, LARGEST_IMAGE), list_of(integer(1, LARGEST_IMAGE), "[5,3]", 1),
        otherwise=f"it must be an integer (1 to {LARGEST_IMAGE:,}), or a list with one for each stage",
    ),
    "padding": one_of("valid", "same"),
    "downsampling": one_of("pooling", "stride"),
    "ceil_mode": boolean,
    "dense": either(
        integer(1, MOST_UNITS), list_of(integer(1, MOST_UNITS), "[128]"),
        otherwise=f"it must be a number of units (1 to {MOST_UNITS:,}), or a list of them such as [128,64]",
    ),
    "dropout": number(0, below=1),
    "dropout_dense": number(0, below=1),
    "batch_norm": boolean,
    "activation": one_of(*ACTIVATIONS),
    "l2": number(0, 1000),
}  # fmt: skip
_MLP = {
    "image_size": _CNN["image_size"],
    "hidden": list_of(integer(1, MOST_UNITS), "[120,84]"),
    "dropout": _CNN["dropout"],
    "activation": _CNN["activation"],
}
_SIMPLE = {
    "image_size": _CNN["image_size"],
    "kernel_size": integer(1, LARGEST_IMAGE),
    "channels": list_of(integer(1, MOST_CHANNELS), "[32,48,64]", 1),
    "batch_norm": boolean,
}
_POOLED = {
    "image_size": _CNN["image_size"],
    "channels": list_of(list_of(integer(1, MOST_CHANNELS), "[32,64]", 1), "[[32,64],[96,128]]", 1),
    "dense": list_of(integer(1, MOST_UNITS), "[100]"),
}
_CNNS = (
    *("cnn", "cnn_dropout", "cnn_2dense", "cnn_batchnorm", "cnn_l2", "cnn_2dense_dropout", "deep_cnn"),
    *("cnn_strided", "two_conv", "double_conv"),
)
_INIT = {"init": one_of(*SCHEMES)}
_DATA = {
    "root": folder,
    "val_size": _val_size,
    "split_seed": integer(0, LARGEST_SEED),
    "folds": optional(integer(2, MOST_FOLDS)),
    "fold": optional(integer(0, MOST_FOLDS - 1)),
    "train_fraction": number(above=0, high=1),
    "epoch_images": optional(integer(1, 100 * MOST_IMAGES)),
    "normalize": boolean,
    "fallback": optional(text),
}


NAMED: dict[str, NamedGroup] = {
    "model": NamedGroup(
        "model",
        {
            **dict.fromkeys(_CNNS, _CNN),
            **dict.fromkeys(("mlp", "mlp_128", "mlp_128_128"), _MLP),
            "lenet5": {
                "image_size": _image_size(12),
                "activation": _CNN["activation"],
                "pooling": one_of("avg", "max"),
            },
            "resnet18": {"stem": one_of("standard", "small")},
            "googlenet": {},
            "densenet121": {},
            "capsnet": {
                "image_size": _image_size(17),
                "routing": integer(1, 100),
                "reconstruction": number(0, 1000),
            },
            "densenet_bc": {"depth": _depth, "growth_rate": integer(1, MOST_CHANNELS)},
            **dict.fromkeys(("simple_m3", "simple_m5", "simple_m7"), _SIMPLE),
            **dict.fromkeys(("simple_c1", "simple_c2", "simple_c3"), _POOLED),
            **FEATURE_MODELS,
        },
        _INIT,
        open=True,
    ),
    "adversary": NamedGroup(
        "adversary",
        {
            "none": {},
            "fgsm": {
                "epsilon": number(above=0, high=1),
                "step_size": number(above=0, high=2),
                "warmup": integer(0, MOST_EPOCHS),
            },
            "pgd": {
                "epsilon": number(above=0, high=1),
                "step_size": number(above=0, high=2),
                "steps": integer(1, 10_000),
                "warmup": integer(0, MOST_EPOCHS),
            },
        },
    ),
    **PARTS,
    "logger": NamedGroup(
        "logger",
        {
            "none": {},
            "tensorboard": {},
            "mlflow": {"experiment_name": text, "tracking_uri": text, "run_name": optional(text)},
            "wandb": {
                "project": text,
                "save_dir": text,
                "offline": boolean,
                **dict.fromkeys(("entity", "group", "job_type", "notes"), optional(text)),
            },
        },
    ),
    "data": NamedGroup(
        "data set",
        {
            **{
                name: {}
                for name in ("mnist", "fashion_mnist", "kmnist", "mnist5k", "cifar10", "npz", "svhn", "double_mnist")
            },
            **{f"emnist_{split}": {} for split in EMNIST_SPLITS},
            "qmnist": {"test_digits": one_of("fresh", "all")},
            "csv": {"train_csv": text, "test_csv": optional(text)},
            "folder": {
                "image_size": optional(list_of(integer(1, LARGEST_IMAGE), "[28,28]", 2, 2)),
                "channels": optional(one_of(1, 3)),
            },
        },
        _DATA,
        {
            "filters": Group(
                {"blur": integer(0, 100), "sharpen": boolean}, {"width": optional(integer(1, LARGEST_IMAGE))}
            )
        },
        required=True,
        open=True,
    ),
}
# Settings that configurations of older versions do not have.
NEWER = (
    *("speed", "loss", "callbacks", "adversary", "pretrained", "data.folds", "data.fold", "data.epoch_images"),
    *(f"augment.{key}" for key in ("mask", "elastic", "stroke", "blur", "background", "noise")),
)
