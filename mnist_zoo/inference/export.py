"""Writing a trained network for other programs, and checking that the written network gives the same logits."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from mnist_zoo.errors import InputError, ZooError, install_command, unknown
from mnist_zoo.inference.formats import SUFFIXES
from mnist_zoo.models.layers import Normalize
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import Description, Weights, pack, read_weights

TOLERANCE = 1e-4  # largest absolute difference between logits that is explained by rounding
CHECKED_BATCHES = (1, 2, 37)  # batch sizes that are compared
TIMED = 1.0  # seconds of timing for each network

Network = Callable[[Tensor], Tensor]


class ExportError(ZooError):
    """The exported network gives other logits than the trained one."""


@dataclass(frozen=True)
class Export:
    """An exported network.

    Attributes:
        path: the file.
        bytes: its size.
        difference: largest absolute difference between its logits and the trained network's.
        milliseconds: median time of one image through the exported network, on the CPU.
        torch_milliseconds: median time of one image through the trained network in PyTorch, on the CPU.
        input: shape, dtype and scale of the input, in words.
    """

    path: Path
    bytes: int
    difference: float
    milliseconds: float
    torch_milliseconds: float
    input: str


def export_model(
    source: str | Path, path: str | Path | None = None, *, format: str = "onnx", with_normalize: bool = False
) -> Export:
    """Write a trained network for other programs, and compare its logits with the original's.

    Args:
        source: a run folder, a checkpoint, a safetensors file, or a name with shipped weights.
        path: the file to write; by default ``<model>.onnx``, ``.pt2`` or ``.safetensors`` in the current folder.
        format: ``onnx`` (checked with onnxruntime), ``torch_export`` (a program for ``torch.export.load``), or
            ``safetensors`` (weights only, for ``create_model(name, pretrained=path)``).
        with_normalize: include the normalisation in the network: its input is then uint8, 0-255. Without it the input
            is float32 ``(brightness - mean) / std``, where brightness 0 is black and 1 is white.

    Returns:
        The file and its measurements. The network's input ``images`` is ``(N, C, H, W)`` for any N, its output
        ``logits`` float32 ``(N, num_classes)``.

    Raises:
        InputError: unknown format or source, a missing package, or unknown mean and standard deviation.
        ExportError: if logits differ by more than 1e-4; no file is written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from mnist_zoo import export_model
        >>> folder = Path(tempfile.mkdtemp())
        >>> exported = export_model("lenet5", folder / "lenet5.safetensors", format="safetensors")
        >>> exported.difference
        0.0
    """
    _check_format(format, with_normalize)
    weights = read_weights(source)
    known = weights.description
    path = Path(path) if path is not None else Path(known.name + SUFFIXES[format])
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    model: nn.Module = build_trained(weights).requires_grad_(False)
    if with_normalize:
        model = _with_normalize(model, weights)
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder, _quiet():
        draft = Path(folder) / f"draft{SUFFIXES[format]}"
        exported = _FORMATS[format](draft, model, _images(known, 2, with_normalize), weights)
        difference = _difference(model, exported, known, with_normalize)
        if not difference <= TOLERANCE:
            raise ExportError(f"{format}: logits differ by {difference:.2g}, more than {TOLERANCE:g}: nothing written")
        draft.replace(path)
    shape = "x".join(str(size) for size in known.image_shape)
    one = _images(known, 1, with_normalize)
    return Export(
        path=path,
        bytes=path.stat().st_size,
        difference=difference,
        milliseconds=_milliseconds(exported, one),
        torch_milliseconds=_milliseconds(model, one),
        input=f"images Nx{shape} {'uint8 0-255' if with_normalize else 'float32 (brightness - mean) / std'}",
    )


def _check_format(format: str, with_normalize: bool) -> None:
    """Raise InputError for an unknown format, missing packages, or options that exclude each other."""
    if format not in SUFFIXES:
        raise unknown("format", format, SUFFIXES)
    if format == "onnx":
        packages = ("onnx", "onnxruntime", "onnxscript")
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise InputError(f"format=onnx needs {', '.join(missing)}: {install_command('export')}")
    if format == "safetensors" and with_normalize:
        raise InputError(
            "safetensors files hold weights only, with mean and std in their metadata: drop with_normalize"
        )


# -- the formats: each function writes the file, reads it back, and returns the network that it read ----------------


def _to_onnx(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Network:
    import onnxruntime

    torch.onnx.export(
        model,
        (example,),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["images"],
        output_names=["logits"],
        external_data=False,
        verbose=False,
    )
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()  # the same as PyTorch, so that the times compare
    session = onnxruntime.InferenceSession(path.read_bytes(), settings, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _to_torch_export(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Network:
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _to_safetensors(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Network:
    path.write_bytes(pack(weights.state, weights.description))
    return build_trained(read_weights(path))


_FORMATS = {"onnx": _to_onnx, "torch_export": _to_torch_export, "safetensors": _to_safetensors}


# -- shared by the formats ------------------------------------------------------------------------------------------


def _with_normalize(model: nn.Module, weights: Weights) -> nn.Module:
    """Return a network that normalises uint8 images and then calls `model`."""
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were normalised: drop with_normalize")
    if any(known.filters.values()):
        raise InputError(
            f"{weights.path} was trained on filtered images ({known.filters}), and filters are not exported: "
            f"drop with_normalize, then filter and normalise the images yourself"
        )
    return nn.Sequential(Normalize(known.mean, known.std), model).eval()


def _images(known: Description, count: int, pixels: bool) -> Tensor:
    """Return noise ``(count, C, H, W)``: uint8 pixels, or float32 normalised like training images."""
    noise = torch.randint(
        256, (count, *known.image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return noise if pixels else (noise / 255 - (known.mean or 0.0)) / (known.std or 1.0)


def _difference(model: nn.Module, exported: Network, known: Description, pixels: bool) -> float:
    """Return the largest absolute difference between two networks' logits over batches of several sizes."""
    with torch.inference_mode():
        batches = [_images(known, count, pixels) for count in CHECKED_BATCHES]
        return max((model(images) - exported(images)).abs().max().item() for images in batches)


def _milliseconds(network: Network, image: Tensor) -> float:
    """Return the median time of one call."""
    timer = Timer("network(image)", globals={"network": network, "image": image}, num_threads=torch.get_num_threads())
    with torch.inference_mode():
        return 1000 * timer.blocked_autorange(min_run_time=TIMED).median


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch's exporters print, log and warn about; errors are still raised."""
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
