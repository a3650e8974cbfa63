"""Writing a trained network for other programs, and checking that the written network gives the same logits."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mnist_zoo.errors import InputError, ZooError, install_command, unknown
from mnist_zoo.files import require_regular, write_atomically
from mnist_zoo.inference.formats import LOADING, SUFFIXES
from mnist_zoo.inference.logits import compute_logits
from mnist_zoo.models.layers import Normalize
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import Description, Weights, pack, read_weights, unpack
from mnist_zoo.weights.description import summary

TOLERANCE = 1e-4  # largest absolute difference between logits that is explained by rounding
CHECKED_BATCHES = (1, 2, 37)  # batch sizes that are compared
LONGEST_NAME = 100  # characters of a default name
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
        loading: the Python expression that reads the file.
    """

    path: Path
    bytes: int
    difference: float
    milliseconds: float
    torch_milliseconds: float
    input: str
    loading: str


def export_model(
    source: str | Path, path: str | Path | None = None, *, format: str = "onnx", with_normalize: bool = False,
    force: bool = False,
) -> Export:  # fmt: skip
    """Write a trained network for other programs, and compare its logits with the original's.

    Args:
        source: as for `predict_images`.
        path: the file to write; by default, in the current folder, the name of the run folder, of the file or of the
            shipped weights (``cnn-mnist``) with the suffix ``.onnx``, ``.pt2`` or ``.safetensors``.
        format: ``onnx`` (checked with onnxruntime), ``torch_export`` (for ``torch.export.load``), or ``safetensors``
            (weights only, for ``create_model(name, pretrained=path)``).
        with_normalize: include the normalisation in the network: its input is then uint8, 0-255. Without it the input
            is float32 ``(brightness - mean) / std``, where brightness 0 is black and 1 is white.
        force: replace the file if it exists.

    Returns:
        The file and its measurements. Its input ``images`` is ``(N, C, H, W)`` for any N, its output ``logits`` float32
        ``(N, num_classes)``.

    Raises:
        InputError: unknown format or source, a missing package, unknown mean and standard deviation, or a file that
            exists (without `force`) or is not a regular file.
        ExportError: if the network cannot be converted, or logits differ by more than 1e-4; no file is written.
        StorageError: if the file cannot be written.

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
    path = Path(path or default_name(weights.path) + SUFFIXES[format])
    _check_target(path, force)
    model = (_with_normalize(weights) if with_normalize else build_trained(weights)).requires_grad_(False)
    one = _images(known, 1, with_normalize)
    compute_logits(model, weights, one)  # stops at a network without finite logits
    content, exported = _convert(format, model, _images(known, 2, with_normalize), weights)
    if not (difference := _difference(model, exported, known, with_normalize)) <= TOLERANCE:
        raise ExportError(f"{format}: logits differ by {difference:.2g}, more than {TOLERANCE:g}: nothing written")
    write_atomically(path, content)
    return Export(
        path,
        bytes=len(content),
        difference=difference,
        milliseconds=_milliseconds(exported, one),
        torch_milliseconds=_milliseconds(model, one),
        input=_input(known, with_normalize),
        loading=LOADING[format].format(path=json.dumps(str(path), ensure_ascii=False), model=known.name),
    )


def default_name(path: Path) -> str:
    """Return the name of an exported file, without suffix, for the weights in the file `path`.

    It is the run folder's name for ``checkpoints/best.ckpt`` of a run, else the file's own, in safe characters.
    """
    path = path.resolve()
    name = path.stem
    if path.parent.name == "checkpoints":
        name = path.parent.parent.name + ("" if name == "best" else f"-{name}")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:LONGEST_NAME] or "network"


def _check_target(path: Path, force: bool) -> None:
    """Raise InputError if an export cannot or must not be written here, before time is spent on it."""
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    if require_regular(path).exists() and not force:
        raise InputError(f"{path} exists: name another file (-o FILE), or replace it (--force; in Python: force=True)")


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


# -- the formats: each function returns the file's content, and the network that is read from it --------------------


def _to_onnx(model: nn.Module, example: Tensor, weights: Weights) -> tuple[bytes, Network]:
    import onnxruntime

    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["images"],
        output_names=["logits"],
        verbose=False,
    )
    assert program is not None  # with dynamo=True
    content = program.model_proto.SerializeToString()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()  # the same as PyTorch, so that the times compare
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    return content, lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _to_torch_export(model: nn.Module, example: Tensor, weights: Weights) -> tuple[bytes, Network]:
    file = io.BytesIO()
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, file)
    return file.getvalue(), torch.export.load(io.BytesIO(file.getvalue())).module()


def _to_safetensors(model: nn.Module, example: Tensor, weights: Weights) -> tuple[bytes, Network]:
    content = pack(weights.state, weights.description)
    return content, build_trained(unpack(content, weights.path))


_FORMATS = {"onnx": _to_onnx, "torch_export": _to_torch_export, "safetensors": _to_safetensors}


def _convert(format: str, model: nn.Module, example: Tensor, weights: Weights) -> tuple[bytes, Network]:
    """Return the content of the exported file, and its network."""
    try:
        with _quiet():
            return _FORMATS[format](model, example, weights)
    except (RuntimeError, TypeError, ValueError) as error:  # torch's exporters
        raise ExportError(f"{format}: {weights.description.name} cannot be converted ({summary(error)})") from error


# -- shared by the formats ------------------------------------------------------------------------------------------


def _with_normalize(weights: Weights) -> nn.Module:
    """Return the trained network behind a layer that normalises uint8 images."""
    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were normalised: drop with_normalize")
    if any(known.filters.values()):
        raise InputError(
            f"{weights.path} was trained on filtered images ({known.filters}), and filters are not exported: "
            f"drop with_normalize, then filter and normalise the images yourself"
        )
    return nn.Sequential(Normalize(known.mean, known.std), build_trained(weights)).eval()


def _input(known: Description, pixels: bool) -> str:
    shape = "x".join(str(size) for size in known.image_shape)
    return f"images Nx{shape} {'uint8 0-255' if pixels else 'float32 (brightness - mean) / std'}"


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
        # torch's maximum, which is NaN if a difference is; Python's passes over it.
        return torch.stack([(model(images) - exported(images)).abs().max() for images in batches]).max().item()


def _milliseconds(network: Network, image: Tensor) -> float:
    """Return the median time of one call."""
    with _quiet():  # torch's remark that there is no GPU
        from torch.utils.benchmark import Timer

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
