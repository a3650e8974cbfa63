"""Tracing a trained network: its operations in order, with their weights."""

from __future__ import annotations

import base64
import contextlib
import itertools
import logging
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from mnist_zoo.errors import InputError, printable
from mnist_zoo.inference.drawing.layers import SUPPORTED, WITH_WEIGHTS, Numbers, Step, Unsupported, convert, shape_of
from mnist_zoo.weights.description import summary

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")


def trace(model: nn.Module, image_shape: tuple[int, int, int], name: str) -> dict[str, Any]:
    """Return a network as values that JSON can hold, for ``forward`` of ``templates/network.js``.

    Args:
        model: in evaluation mode.
        image_shape: ``(C, H, W)`` of its input.
        name: what messages call it.

    Returns:
        ``input`` (its shape), ``steps`` (each with ``op``, ``inputs``, ``shape`` and its settings; value 0 is the
        image, value ``i + 1`` the result of step ``i``), ``output`` (number of the value that holds the logits),
        ``maps`` (number of the value that shows the first stage), ``matrices`` (base64 of float16) and ``vectors``
        (base64 of float32).

    Raises:
        InputError: if the network cannot be traced, or has an operation that is not supported.
    """
    program = _export(model, image_shape, name)
    numbers = Numbers(_tensors(program))
    values, steps = {}, []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs:
            values[node.name] = 0
        elif node.op == "call_function":
            steps.append(_step(node, numbers, values, name))
            values[node.name] = len(steps)
    output = values[program.graph_signature.user_outputs[0]]
    return {
        "input": list(image_shape),
        "steps": steps,
        "output": output,
        "maps": _first_stage(steps, output),
        "matrices": _base64(numbers.matrices, torch.float16),
        "vectors": _base64(numbers.vectors, torch.float32),
    }


def _export(model: nn.Module, image_shape: tuple[int, int, int], name: str) -> ExportedProgram:
    try:
        with _quiet():
            return torch.export.export(model, (torch.zeros(1, *image_shape),))
    except Exception as error:  # torch's exporter raises errors of many types
        raise InputError(f"{printable(name)}: the network cannot be traced ({printable(summary(error))})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch's exporter logs and warns about; errors are still raised."""
    with warnings.catch_warnings(action="ignore"):
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _tensors(program: ExportedProgram) -> Any:
    """Return a function from an input of a traced network to the parameter or buffer that it stands for."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}

    def tensor_of(node: Node) -> Tensor:
        key = names.get(node.name)
        if key is None:
            raise Unsupported("has weights that are computed")
        held = program.state_dict if key in program.state_dict else program.constants
        return held[key].detach()

    return tensor_of


def _step(node: Node, numbers: Numbers, values: dict[str, int], name: str) -> Step:
    """Return the step of one operation; raises InputError, which names the layer, if it is not supported."""
    try:
        step = convert(node, numbers)
        inputs = node.args[:1] if step["op"] in WITH_WEIGHTS else node.args
        step |= {"inputs": _numbers_of(inputs, values), "shape": shape_of(node)}
        if any(isinstance(value, float) and not math.isfinite(value) for value in step.values()):
            raise Unsupported("has a number that is not finite")
        return step
    except Unsupported as error:
        raise InputError(f"{printable(name)}: {_layer(node)} {error}; the page runs {SUPPORTED}") from error


def _numbers_of(arguments: Iterable[Any], values: dict[str, int]) -> list[int]:
    """Return the numbers of the values that an operation takes, in order."""
    lists = [argument if isinstance(argument, (list, tuple)) else [argument] for argument in arguments]
    nodes = [each for each in itertools.chain(*lists) if isinstance(each, Node)]
    if any(node.name not in values for node in nodes):
        raise Unsupported("takes a constant tensor")
    return [values[node.name] for node in nodes]


def _layer(node: Node) -> str:
    """Return the name and the class of the layer that an operation belongs to."""
    operation = str(node.target).removeprefix("aten.").partition(".")[0]
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack or not stack[-1][0]:
        return f"the operation {printable(operation)}"
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else kind.__qualname__
    return f"layer {printable(path)} ({printable(kind.rpartition('.')[2])}, operation {printable(operation)})"


def _first_stage(steps: list[Step], output: int) -> int:
    """Return the number of the value that shows the first stage.

    It is the first activation after the first convolution, or without a convolution the first activation; in a network
    without activations the result of its first layer with weights.
    """
    convolution = next((index for index, step in enumerate(steps) if step["op"] == "conv2d"), 0)
    for index, step in enumerate(steps[convolution:], convolution):
        if step["op"] in ACTIVATIONS:
            return index + 1
    return next((index for index, step in enumerate(steps, 1) if "weight" in step), output)


def _base64(block: list[Tensor], dtype: torch.dtype) -> str:
    values = torch.cat(block) if block else torch.empty(0, dtype=dtype)
    return base64.b64encode(values.numpy().astype(values.numpy().dtype.newbyteorder("<")).tobytes()).decode()
