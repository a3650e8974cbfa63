"""The layers that the page can run: each operation of a traced network becomes a step, plain values that JSON can hold.

`templates/network.js` runs the steps and has a function for each ``op`` here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

Step = dict[str, Any]
SUPPORTED = (
    "Linear, Conv2d, BatchNorm, ReLU, LeakyReLU, ELU, GELU, SiLU, Tanh, Sigmoid, MaxPool2d, AvgPool2d, "
    "AdaptiveAvgPool2d, Flatten, Dropout, constant padding, sums, products and concatenation"
)
WITH_WEIGHTS = ("conv2d", "linear", "affine")  # their other inputs are weights; those of all other steps are values


class Unsupported(Exception):
    """The page cannot run this operation, or not with these arguments."""


class Numbers:
    """The numbers of a network in two blocks: matrices and kernels as float16, and the few vectors as float32.

    Args:
        tensor_of: returns the tensor that an input of the traced network stands for.

    Attributes:
        matrices, vectors: the blocks, as lists of flat tensors.
    """

    def __init__(self, tensor_of: Callable[[Node], Tensor]):
        self.tensor_of = tensor_of
        self.matrices: list[Tensor] = []
        self.vectors: list[Tensor] = []

    def matrix(self, node: Node) -> list[int]:
        """Add a matrix or kernel, and return where it begins and how many numbers it has."""
        return _append(self.matrices, self.tensor_of(node).half())

    def vector(self, values: Tensor) -> list[int]:
        """Add a vector, and return where it begins and how many numbers it has."""
        return _append(self.vectors, values.float())


def _append(block: list[Tensor], values: Tensor) -> list[int]:
    if not values.isfinite().all():
        raise Unsupported("has weights that float16 cannot hold")
    start = sum(map(len, block))
    block.append(values.flatten())
    return [start, values.numel()]


def convert(node: Node, numbers: Numbers) -> Step:
    """Return the step of an operation: its ``op`` and what this one needs besides its inputs.

    Args:
        node: a call of an ATen operation, from `torch.export.export` of a network in evaluation mode.
        numbers: gets the weights of the operation.

    Raises:
        Unsupported: if the page cannot run it.
    """
    operation = str(node.target).removeprefix("aten.").partition(".")[0]
    in_place = operation.endswith("_")
    maker = _STEPS.get(operation.rstrip("_"))
    if maker is None:
        raise Unsupported("is not supported")
    return maker(node, numbers) | ({"in_place": True} if in_place else {})


def _given(node: Node, position: int, name: str, default: Any) -> Any:
    """Return an argument of an operation, which may be given by position or by name."""
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)


def _pair(value: Any) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def shape_of(node: Node) -> list[int]:
    """Return the shape of an operation's result for one image, without the dimension of the batch."""
    shape = list(node.meta["val"].shape)
    if not shape or shape[0] != 1:
        raise Unsupported("mixes the images of a batch")
    return shape[1:]


def _conv2d(node: Node, numbers: Numbers) -> Step:
    weight = node.args[1]
    assert isinstance(weight, Node)
    kernel = numbers.tensor_of(weight).shape[2:]
    stride, dilation = _pair(_given(node, 3, "stride", 1)), _pair(_given(node, 5, "dilation", 1))
    padding = _given(node, 4, "padding", 0)
    if padding == "same":  # torch pads the odd pixel at the end, and the page finds the end by the size of the result
        padding = [step * (side - 1) // 2 for step, side in zip(dilation, kernel, strict=True)]
    padding = [0, 0] if padding == "valid" else _pair(padding)
    step = {"op": "conv2d", "weight": numbers.matrix(weight), "kernel": list(kernel), "stride": stride}
    step |= {"padding": padding, "dilation": dilation, "groups": _given(node, 6, "groups", 1)}
    return step | _bias(node, numbers)


def _linear(node: Node, numbers: Numbers) -> Step:
    if len(shape_of(node)) != 1:
        raise Unsupported("is applied to more than one vector an image")
    weight = node.args[1]
    assert isinstance(weight, Node)
    return {"op": "linear", "weight": numbers.matrix(weight)} | _bias(node, numbers)


def _bias(node: Node, numbers: Numbers) -> Step:
    bias = _given(node, 2, "bias", None)
    return {} if bias is None else {"bias": numbers.vector(numbers.tensor_of(bias))}


def _batch_norm(node: Node, numbers: Numbers) -> Step:
    weight, bias, mean, variance = (None if arg is None else numbers.tensor_of(arg).double() for arg in node.args[1:5])  # type: ignore[arg-type]  # nodes or None
    if mean is None or variance is None or node.args[5]:
        raise Unsupported("has no running mean and variance")
    scale = (torch.ones_like(mean) if weight is None else weight) / (variance + float(node.args[7])).sqrt()  # type: ignore[arg-type]  # eps
    shift = (torch.zeros_like(mean) if bias is None else bias) - mean * scale
    return {"op": "affine", "scale": numbers.vector(scale), "shift": numbers.vector(shift)}


def _pool(op: str) -> Callable[[Node, Numbers], Step]:
    def make(node: Node, numbers: Numbers) -> Step:
        kernel = _pair(node.args[1])
        step = {"op": op, "kernel": kernel, "stride": _pair(_given(node, 2, "stride", None) or kernel)}
        step["padding"] = _pair(_given(node, 3, "padding", 0))
        if op == "max_pool":
            return step | {"dilation": _pair(_given(node, 4, "dilation", 1))}
        if _given(node, 6, "divisor_override", None) is not None:
            raise Unsupported("has a divisor of its own")
        return step | {"count_padding": _given(node, 5, "count_include_pad", True)}

    return make


def _mean(node: Node, numbers: Numbers) -> Step:
    rank = len(node.args[0].meta["val"].shape)  # type: ignore[union-attr]  # the first argument is the input
    if rank != 4 or {axis % rank for axis in _given(node, 1, "dim", None) or []} != {2, 3}:
        raise Unsupported("averages over something else than height and width")
    return {"op": "average"}


def _activation(op: str, **defaults: Any) -> Callable[[Node, Numbers], Step]:
    def make(node: Node, numbers: Numbers) -> Step:
        return {"op": op} | {
            name: _given(node, position, name, default) for position, (name, default) in enumerate(defaults.items(), 1)
        }

    return make


def _combination(op: str) -> Callable[[Node, Numbers], Step]:
    def make(node: Node, numbers: Numbers) -> Step:
        other = node.args[1]
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode") is not None:
            raise Unsupported("has a factor or rounds")
        if not isinstance(other, Node):
            return {"op": op, "number": other}
        if other.meta["val"].shape != node.args[0].meta["val"].shape:  # type: ignore[union-attr]  # the first argument is the input
            raise Unsupported("combines tensors of different shapes")
        return {"op": op}

    return make


def _cat(node: Node, numbers: Numbers) -> Step:
    if _given(node, 1, "dim", 0) % len(node.meta["val"].shape) != 1:
        raise Unsupported("concatenates something else than channels")
    return {"op": "cat"}


def _pad(node: Node, numbers: Numbers) -> Step:
    widths = list(node.args[1])  # type: ignore[arg-type]  # left, right, top, bottom
    if _given(node, 2, "mode", "constant") != "constant" and not str(node.target).startswith("aten.constant_pad_nd"):
        raise Unsupported("pads with something else than a constant")
    if len(widths) > 4 or len(shape_of(node)) != 3 or min(widths) < 0:
        raise Unsupported("pads something else than height and width")
    value = _given(node, 3, "value", None) if "pad.default" in str(node.target) else _given(node, 2, "value", 0)
    left, _, top, _ = [*widths, 0, 0][:4]
    return {"op": "pad", "padding": [top, left], "value": value or 0}


def _same(node: Node, numbers: Numbers) -> Step:
    return {"op": "same"}


def _dropout(node: Node, numbers: Numbers) -> Step:
    if _given(node, 2, "train", False):
        raise Unsupported("is random in evaluation mode as well")
    return {"op": "same"}


def _average(node: Node, numbers: Numbers) -> Step:
    return {"op": "average"}


_STEPS: dict[str, Callable[[Node, Numbers], Step]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "max_pool2d": _pool("max_pool"),
    "avg_pool2d": _pool("avg_pool"),
    "adaptive_avg_pool2d": _average,
    "mean": _mean,
    "relu": _activation("relu"),
    "leaky_relu": _activation("leaky_relu", negative_slope=0.01),
    "elu": _activation("elu", alpha=1.0, scale=1.0, input_scale=1.0),
    "gelu": _activation("gelu", approximate="none"),
    "silu": _activation("silu"),
    "tanh": _activation("tanh"),
    "sigmoid": _activation("sigmoid"),
    "add": _combination("add"),
    "sub": _combination("sub"),
    "mul": _combination("mul"),
    "div": _combination("div"),
    "cat": _cat,
    "pad": _pad,
    "constant_pad_nd": _pad,
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
    # They change at most the shape.
    **dict.fromkeys(("alias", "contiguous", "flatten", "view", "reshape", "squeeze", "unsqueeze"), _same),
}
