"""The registry of networks. A name is the same on the command line, in YAML, in a checkpoint and in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeVar, overload

from torch import nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.names import CLASSICAL

Builder = Callable[..., nn.Module]
AnyBuilder = TypeVar("AnyBuilder", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


@overload
def register_model(name: str) -> Callable[[AnyBuilder], AnyBuilder]: ...
@overload
def register_model(name: AnyBuilder) -> AnyBuilder: ...
def register_model(name: str | AnyBuilder) -> AnyBuilder | Callable[[AnyBuilder], AnyBuilder]:
    """Register a class or function that builds a network, as ``@register_model`` or ``@register_model("name")``.

    The builder is called with keyword arguments and must accept ``num_classes`` and ``in_chans``. On the command line:
    ``plugins=[my_package.my_module] model=my_net +model.width=64``.

    Raises:
        InputError: if the name is empty, or already registered.

    Example:
        >>> import torch
        >>> from mnist_zoo import create_model, register_model
        >>> @register_model("my_net")
        ... class MyNet(torch.nn.Sequential):
        ...     def __init__(self, num_classes, in_chans, width=32):
        ...         super().__init__(
        ...             torch.nn.Flatten(),
        ...             torch.nn.Linear(in_chans * 784, width),
        ...             torch.nn.ReLU(),
        ...             torch.nn.Linear(width, num_classes),
        ...         )
        >>> create_model("my_net", width=64)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    if not isinstance(name, str) and callable(name):
        return register_model(name.__name__)(name)
    if not isinstance(name, str) or not name:
        raise InputError("register_model needs a name: @register_model('my_net')")

    def register(builder: AnyBuilder) -> AnyBuilder:
        if name in _BUILDERS or name in CLASSICAL:
            raise InputError(f"a model named '{name}' is already registered; choose another name")
        _BUILDERS[name] = builder
        return builder

    return register


def list_models() -> list[str]:
    """Return the names of all registered networks, sorted.

    Example:
        >>> from mnist_zoo import list_models
        >>> list_models()[:3]
        ['capsnet', 'cnn', 'cnn_2dense']
    """
    return sorted(_BUILDERS)


def builder_of(name: str) -> Builder:
    """Return the function or class that builds a network.

    Raises:
        InputError: if the name is not registered; the message lists the registered ones.
    """
    if name in CLASSICAL:
        raise InputError(
            f"'{name}' is a classical model, not a network: python -m mnist_zoo model={name} fits it, and "
            f"mnist_zoo.classical.create_estimator('{name}') builds it"
        )
    if name not in _BUILDERS:
        raise unknown("model", name, _BUILDERS)
    return _BUILDERS[name]


def parameters_of(name: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a network's builder.

    Raises:
        InputError: if the name is not registered; the message lists the registered ones.
    """
    return inspect.signature(builder_of(name)).parameters


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the options of a network, ``num_classes`` and ``in_chans`` among them, before it is built.

    Raises:
        InputError: unknown network, unknown option, or a number below 1 for a count or size.
    """
    parameters = parameters_of(name)
    num_classes, in_chans = options["num_classes"], options["in_chans"]
    if not all(isinstance(number, Integral) and int(number) >= 1 for number in (num_classes, in_chans)):
        raise InputError(
            f"num_classes and in_chans must be 1 or more, and integers: not {num_classes!r} and {in_chans!r}"
        )
    size = options.get("image_size", 1)
    sides = [size] if not isinstance(size, (list, tuple)) else size
    if len(sides) not in (1, 2) or not all(type(side) is int and side >= 1 for side in sides):
        raise InputError(
            f"image_size={size}: it must be 1 or more: an integer (the side of squares), or [height,width]"
        )
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for option in options:
            if option not in parameters and option not in ("num_classes", "in_chans"):
                raise unknown(f"option of model '{name}'", option, [*parameters, "init"])


def without_unset_size(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a network, but not an ``image_size`` of None, which means the size of the images."""
    return {key: value for key, value in options.items() if key != "image_size" or value is not None}


def fit_to_images(name: str, options: Mapping[str, Any], image_shape: Sequence[int]) -> dict[str, Any]:
    """Return the options of a network with the ``image_size`` of the images, if the network has this option.

    Args:
        name: the network.
        options: its options.
        image_shape: ``(channels, height, width)`` of the images.

    Raises:
        InputError: if the network is unknown, or was given another ``image_size``, or this is no shape of images.
    """
    valid = isinstance(image_shape, (list, tuple)) and len(image_shape) == 3
    if not valid or not all(type(size) is int and size >= 1 for size in image_shape):
        raise InputError(f"image_shape={image_shape}: it must be (channels, height, width), such as (1, 28, 28)")
    _, height, width = image_shape
    fitted = without_unset_size(options)
    parameter = parameters_of(name).get("image_size")
    if parameter is None:
        return fitted
    size = height if height == width else [height, width]
    if _as_list(fitted.get("image_size", size)) != _as_list([height, width]):
        raise InputError(
            f"model.image_size={fitted['image_size']}, and the images are {height}x{width}: leave it out, then the "
            f"network follows the images"
        )
    # A size that is the default is not added: options are compared with those in checkpoints.
    return fitted if "image_size" not in options and parameter.default == size else fitted | {"image_size": size}


def _as_list(size: Any) -> list[Any]:
    """Return an image size as height and width."""
    return list(size) if isinstance(size, (list, tuple)) else [size, size]


def build(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Check a network's options as `check_options` does, and build the network with its own initial weights.

    Raises:
        InputError: as `check_options`, or a value that the network does not accept.
    """
    check_options(name, options)
    try:
        network = _BUILDERS[name](**options)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, MemoryError, OverflowError) as error:  # torch's, or a plug-in's
        shown = ", ".join(f"{key}={value}" for key, value in options.items())
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"model '{name}' cannot be built ({type(error).__name__}: {reason}) with {shown}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"model '{name}' gave {type(network).__name__}: its builder must return a torch.nn.Module")
    return network
