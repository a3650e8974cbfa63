"""The layers of a network in the order in which they run, with shapes, parameters and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

REST = "(operations between the layers)"
WHOLE = "(the network)"  # the name of a layer that is the whole network


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: in the network, such as ``features.0``.
        kind: its class.
        details: kernel, stride and padding, where it has them; else empty.
        shape: of its output for one image, without the dimension of the batch. None if it does not run in evaluation
            mode, or returns something else than a tensor.
        parameters: its own numbers that are trained; 0 if the layer runs again.
        flops: its floating-point operations for one image. A multiply-add counts as 2, and only convolutions and
            matrix products are counted. 0 if the layer runs again.
    """

    name: str
    kind: str
    details: str
    shape: tuple[int, ...] | None
    parameters: int
    flops: int


def list_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Layer]:
    """Return the layers of a network, in the order in which they end, for one image ``(C, H, W)`` in evaluation mode.

    A layer is a module without modules in it, or with parameters of its own. Layers with parameters that do not run in
    evaluation mode, such as auxiliary heads, are at the end. The parameters add up to those of the network, and the
    operations to `mnist_zoo.models.flops.count_flops`: what no layer computes is in a last row, `REST`.

    Example:
        >>> from mnist_zoo.models import create_model
        >>> from mnist_zoo.models.layer_table import list_layers
        >>> list_layers(create_model("mlp"), (1, 28, 28))[1]
        Layer(name='features.1', kind='Linear', details='', shape=(120,), parameters=94200, flops=188160)
    """
    names = {module: name for name, module in model.named_modules() if _is_layer(module)}
    calls: list[tuple[nn.Module, tuple[int, ...] | None]] = []
    hooks = [
        module.register_forward_hook(lambda module, _, output: calls.append((module, _shape(output))))
        for module in names
    ]
    training = model.training
    model.eval()
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, *image_shape))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    called = {module for module, _ in calls}
    idle = [(module, None) for module in names if module not in called and _parameters(module)]
    counts, seen, layers = counter.get_flop_counts(), set(), []
    for module, shape in [*calls, *idle]:
        again, name = module in seen, names[module]
        seen.add(module)
        parameters, flops = (0, 0) if again else (_parameters(module), _own_flops(counts, model, module, name))
        layers.append(Layer(name or WHOLE, type(module).__name__, _details(module), shape, parameters, flops))
    rest = int(counter.get_total_flops()) - sum(layer.flops for layer in layers)
    return [*layers, Layer(REST, "", "", None, 0, rest)] if rest else layers


def _is_layer(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) or _parameters(module) > 0


def _parameters(module: nn.Module) -> int:
    """Return the number of a module's own parameters, without those of the modules in it."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _shape(output: Any) -> tuple[int, ...] | None:
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else None


def _own_flops(counts: Mapping[str, Mapping[Any, int]], model: nn.Module, module: nn.Module, name: str) -> int:
    """Return the operations of a module without those of the modules in it."""
    path = f"{type(model).__name__}.{name}".rstrip(".")
    inner = [f"{path}.{child}" for child, _ in module.named_children()]
    return sum(counts.get(path, {}).values()) - sum(sum(counts.get(child, {}).values()) for child in inner)


def _details(module: nn.Module) -> str:
    """Return kernel, stride and padding of a convolution or pooling layer."""
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return ""
    words = ["x".join(map(str, _pair(kernel)))]
    stride, padding = getattr(module, "stride", kernel), getattr(module, "padding", 0)
    if _pair(stride) != (_pair(kernel) if "Pool" in type(module).__name__ else (1, 1)):
        words.append(f"stride {_short(stride)}")
    if padding not in (0, (0, 0), "valid"):
        words.append(f"padding {padding if isinstance(padding, str) else _short(padding)}")
    if getattr(module, "groups", 1) != 1:
        words.append(f"groups {module.groups}")
    return ", ".join(words)


def _pair(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value, value)


def _short(value: Any) -> str:
    """Return one number if all of a pair are equal, else ``2x1``."""
    return str(_pair(value)[0]) if len(set(_pair(value))) == 1 else "x".join(map(str, _pair(value)))
