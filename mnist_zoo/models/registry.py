"""Names to networks: the same word on the command line, in YAML, in a checkpoint and in a notebook."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from torch import nn

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.models.init import initialise

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {}


def register_model(name: str | Builder) -> Builder | Callable[[Builder], Builder]:
    """Register a class or function that builds a network, as ``@register_model`` or ``@register_model("name")``.

    The builder is called with keyword arguments and must accept ``num_classes`` and ``in_chans``. On the command line:
    ``plugins=[my_package.my_module] model=custom model.name=my_net +model.width=64``.

    Raises:
        InputError: if the name is taken.

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
    if callable(name):
        return register_model(name.__name__)(name)

    def register(builder: Builder) -> Builder:
        if name in _BUILDERS:
            raise InputError(f"a model named '{name}' is already registered; choose another name")
        _BUILDERS[name] = builder
        return builder

    return register


def list_models() -> list[str]:
    """Return the names that `create_model` knows, sorted.

    Example:
        >>> from mnist_zoo import list_models
        >>> list_models()[:3]
        ['cnn', 'cnn_2dense', 'cnn_2dense_dropout']
    """
    return sorted(_BUILDERS)


def create_model(
    name: str,
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    init: str = "default",
    pretrained: str | Path | None = None,
    **options,
) -> nn.Module:
    """Build a network of the zoo, with fresh weights drawn from torch's global random numbers, or trained ones.

    Args:
        name: one of `list_models`.
        num_classes: width of the logits.
        in_chans: channels of the input images.
        init: ``default`` (the network's own), ``xavier``, ``he`` or ``normal``; see `mnist_zoo.models.init.initialise`.
        pretrained: ``mnist`` for the weights that come with the package (see `list_pretrained`), or the path of one's
            own: a run folder, a checkpoint, or a safetensors file that `export_model` wrote. Their options are used
            where none are given. The input that they were trained on is ``(brightness - mean) / std``, brightness in
            0-1: for the shipped ones mean 0.13073 and standard deviation 0.30819, of the 55,000 training images.
        **options: the network's own arguments, such as ``dense=96`` for the CNNs.

    Returns:
        A module that maps float32 ``(N, in_chans, 28, 28)`` to logits ``(N, num_classes)``.

    Raises:
        InputError: unknown name (the known ones are listed), unknown option, a value the network cannot take, or
            pretrained weights that do not exist or are for other options.

    Example:
        >>> import torch
        >>> from mnist_zoo import create_model
        >>> model = create_model("resnet18", num_classes=47, in_chans=3)
        >>> model(torch.zeros(2, 3, 28, 28)).shape
        torch.Size([2, 47])
        >>> digits = create_model("lenet5", pretrained="mnist").eval()
        >>> digits.features(torch.zeros(1, 1, 28, 28)).shape
        torch.Size([1, 84])
    """
    if name not in _BUILDERS:
        raise unknown("model", name, _BUILDERS)
    if num_classes < 1 or in_chans < 1:
        raise InputError(f"num_classes and in_chans must be 1 or more, not {num_classes} and {in_chans}")
    if options.get("image_size", 1) < 1:
        raise InputError(f"image_size={options['image_size']}: it must be 1 or more")
    builder = _BUILDERS[name]
    parameters = inspect.signature(builder).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for option in options:
            if option not in parameters:
                raise unknown(f"option of model '{name}'", option, [*parameters, "init"])
    options |= {"num_classes": num_classes, "in_chans": in_chans}
    if pretrained is None:
        return initialise(builder(**options), init)
    if init != "default":
        raise InputError(
            f"init={init} draws fresh weights, and pretrained={pretrained} replaces them: give one of both"
        )
    return _build_pretrained(name, pretrained, options)


def _build_pretrained(name: str, source: str | Path, options: dict) -> nn.Module:
    from mnist_zoo.weights import find_pretrained, list_pretrained, read_weights  # here: it needs this module

    shipped = {data for sets in list_pretrained().values() for data in sets}
    weights = read_weights(find_pretrained(name, str(source)) if str(source) in shipped else source)
    builder = _BUILDERS[name]
    return weights.load_into(builder(**weights.options(name, inspect.signature(builder).parameters, options)))
