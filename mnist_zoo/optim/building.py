"""The registries of optimizers and schedules, and how an optimizer or a schedule is built from its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from mnist_zoo.errors import InputError
from mnist_zoo.registry import Registry

OptimizerBuilder = Callable[..., Optimizer]
SchedulerBuilder = Callable[..., Any]  # an LRScheduler; torch has no common base class with ReduceLROnPlateau
AnyOptimizer = TypeVar("AnyOptimizer", bound=OptimizerBuilder)
AnyScheduler = TypeVar("AnyScheduler", bound=SchedulerBuilder)

OPTIMIZERS: Registry[OptimizerBuilder] = Registry("optimizer", ("params", "lr"))
SCHEDULERS: Registry[SchedulerBuilder] = Registry("scheduler", ("optimizer", "steps"))
_EVERY: dict[str, str] = {}  # "step" or "epoch", by name of the schedule


def register_optimizer(name: str) -> Callable[[AnyOptimizer], AnyOptimizer]:
    """Register a class or function ``(params, lr, **options) -> torch.optim.Optimizer`` under a name.

    ``params`` are the parameters of the network, and ``lr`` is the learning rate. The other parameters are options of
    plain types. On the command line: ``plugins=[my_package.my_module] optimizer=my_sgd optimizer.momentum=0.5``.

    Raises:
        InputError: if the name is already registered.

    Example:
        >>> import torch
        >>> from mnist_zoo import LitClassifier, register_optimizer
        >>> @register_optimizer("my_sgd")
        ... def my_sgd(params, lr, momentum=0.9):
        ...     return torch.optim.SGD(params, lr=lr, momentum=momentum)
        >>> classifier = LitClassifier("mlp", optimizer={"name": "my_sgd", "momentum": 0.5})
        >>> classifier.configure_optimizers().param_groups[0]["momentum"]
        0.5
    """

    return OPTIMIZERS.register(name)


def register_scheduler(
    name: str, *, every: Literal["step", "epoch"] = "step"
) -> Callable[[AnyScheduler], AnyScheduler]:
    """Register a function or class ``(optimizer, steps, **options) -> LRScheduler`` under a name.

    The schedule's ``step()`` is called after every optimizer step, or after every epoch, and ``steps`` says how often
    it will be called in the whole training. A schedule with an option ``monitor`` gets this metric of validation
    (``val_acc`` or ``val_loss``), as torch's ``ReduceLROnPlateau`` does. On the command line:
    ``plugins=[my_package.my_module] scheduler=linear scheduler.last=0.1``.

    Args:
        name: the name.
        every: ``step`` or ``epoch``.

    Raises:
        InputError: if the name is already registered, or `every` is neither of the two.

    Example:
        >>> from torch.optim.lr_scheduler import LinearLR
        >>> from mnist_zoo import register_scheduler
        >>> @register_scheduler("linear")
        ... def linear(optimizer, steps, last=0.0):
        ...     return LinearLR(optimizer, start_factor=1.0, end_factor=last, total_iters=steps)
    """
    if every not in ("step", "epoch"):
        raise InputError(f"every={every}: it must be step or epoch")
    register: Callable[[AnyScheduler], AnyScheduler] = SCHEDULERS.register(name)

    def add(builder: AnyScheduler) -> AnyScheduler:
        register(builder)
        _EVERY[name] = every
        return builder

    return add


for _name, _optimizer in {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}.items():
    register_optimizer(_name)(_optimizer)


def build_optimizer(choice: Mapping[str, Any], parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """Return an optimizer over the parameters.

    Args:
        choice: ``name``, one of `OPTIMIZERS`, and any of its options.
        parameters: of the network.
        lr: learning rate.

    Raises:
        InputError: unknown name or option, a value that the optimizer refuses, or a builder that returns no optimizer.
    """
    options = dict(choice)
    name = options.pop("name")
    OPTIMIZERS.check_options(name, options)
    try:
        optimizer = OPTIMIZERS[name](parameters, lr=lr, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"optimizer '{name}': {error}") from error
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"optimizer '{name}' gave {type(optimizer).__name__}: it must return a torch.optim.Optimizer")
    return optimizer


def build_scheduler(
    choice: Mapping[str, Any], optimizer: Optimizer, steps: int, batches: int, accumulated: int = 1
) -> dict[str, Any]:
    """Return Lightning's ``lr_scheduler`` config of a schedule other than ``none``.

    Args:
        choice: ``name``, one of `SCHEDULERS`, and its options.
        optimizer: whose learning rate changes.
        steps: optimizer steps of the whole training.
        batches: of one epoch.
        accumulated: batches of one optimizer step.

    Raises:
        InputError: unknown name or option, or a value that the schedule refuses.
    """
    options = dict(choice)
    name = options.pop("name")
    SCHEDULERS.check_options(name, options)
    # All schedules count batches, also those that act once an epoch: Lightning updates an "epoch" schedule after it
    # has written the epoch's checkpoint, and a resumed run would miss the update.
    config: dict[str, Any] = {"interval": "step", "frequency": 1}
    if _EVERY[name] == "epoch":
        config["frequency"], steps = batches, max(1, steps // -(-batches // accumulated))
    if follows_metric(name):
        config |= {"monitor": options.get("monitor", SCHEDULERS.defaults(name).get("monitor")), "strict": True}
        config["reduce_on_plateau"] = True  # Lightning then gives the metric to step()
    try:
        config["scheduler"] = SCHEDULERS[name](optimizer, steps, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"scheduler '{name}': {error}") from error
    except ZeroDivisionError as error:  # of OneCycleLR, if the learning rate rises for exactly one step
        cure = "choose other options, such as pct_start, or train for more steps"
        raise InputError(f"scheduler '{name}' cannot divide {steps} steps into its phases: {cure}") from error
    if isinstance(config["scheduler"], lr_scheduler.ReduceLROnPlateau) and "monitor" not in config:
        raise InputError(f"scheduler '{name}' follows a metric: give it an option monitor, such as monitor='val_acc'")
    return config


def follows_metric(name: str) -> bool:
    """Return whether a schedule follows a metric of validation: whether it has an option ``monitor``."""
    return "monitor" in SCHEDULERS.parameters(name)
