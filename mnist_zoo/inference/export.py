"""``python -m mnist_zoo.export``: hand a trained network to other programs, and check at once that it still is one."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mnist_zoo.errors import InputError, ZooError, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mnist_zoo.weights import Description, Weights

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
TOLERANCE = 1e-4  # largest difference between logits that counts as rounding
CHECKED_BATCHES = (1, 2, 37)  # sizes that the exported network must all take
TIMED = 1.0  # seconds of timing, after a warm-up


class ExportError(ZooError):
    """The exported network does not compute what the trained one does."""


@dataclass(frozen=True)
class Export:
    """An exported network.

    Attributes:
        path: the file.
        bytes: its size.
        difference: largest absolute difference between its logits and the trained network's.
        milliseconds: median time of one image through the exported network, on this CPU.
        torch_milliseconds: the same through the trained network in PyTorch.
        input: dtype, shape and scale of what it takes.
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
    """Write a trained network for other programs, and compare it with the original on the spot.

    Args:
        source: a run folder, a checkpoint, a safetensors file, or a name that comes with weights.
        path: the file to write; by default ``<model>.onnx``, ``.pt2`` or ``.safetensors`` in the current folder.
        format: ``onnx`` (checked with onnxruntime), ``torch_export`` (a program for ``torch.export.load``), or
            ``safetensors`` (weights alone, for ``create_model(name, pretrained=path)``).
        with_normalize: take pixels as they are, uint8 0-255, and scale them inside. Otherwise the input is float32
            ``(brightness - mean) / std``, brightness in 0-1.

    Returns:
        What was written. Input ``images`` is ``(N, C, H, W)`` for any N, output ``logits`` float32
        ``(N, num_classes)``.

    Raises:
        InputError: unknown format or source, a missing package, or nothing to normalise with.
        ExportError: if logits differ by more than 1e-4; no file is left then.

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
    from mnist_zoo.weights import read_weights

    weights = read_weights(source)
    path = Path(path) if path is not None else Path(weights.description.name + SUFFIXES[format])
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    model = weights.build().requires_grad_(False)
    if with_normalize:
        model = _with_normalize(model, weights)
    example = _images(weights.description, 2, with_normalize)
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder, _quiet():
        draft = Path(folder) / f"draft{SUFFIXES[format]}"
        exported = _FORMATS[format](draft, model, example, weights)
        difference = _compare(model, exported, weights.description, with_normalize)
        if not difference <= TOLERANCE:
            raise ExportError(f"{format}: logits differ by {difference:.2g}, more than {TOLERANCE:g}: nothing written")
        draft.replace(path)
    one = _images(weights.description, 1, with_normalize)
    shape = "x".join(str(size) for size in weights.description.image_shape)
    scale = "uint8 0-255" if with_normalize else "float32 (brightness - mean) / std"
    return Export(
        path=path,
        bytes=path.stat().st_size,
        difference=difference,
        milliseconds=_milliseconds(exported, one),
        torch_milliseconds=_milliseconds(model, one),
        input=f"images Nx{shape} {scale}",
    )


def _check_format(format: str, with_normalize: bool) -> None:
    if format not in SUFFIXES:
        raise unknown("format", format, SUFFIXES)
    if format == "onnx":
        _need("onnx", "onnxruntime", "onnxscript")
    if format == "safetensors" and with_normalize:
        raise InputError(
            "safetensors hold weights alone: mean and std stand in the file's metadata; drop with_normalize"
        )


# -- the formats: each writes the file, reads it back, and returns what was read as a function of images ----------


def _to_onnx(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Callable[[Tensor], Tensor]:
    import onnxruntime
    import torch

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
    settings.intra_op_num_threads = torch.get_num_threads()  # as many as PyTorch has: a fair race
    session = onnxruntime.InferenceSession(path.read_bytes(), settings, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _to_torch_export(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Callable[[Tensor], Tensor]:
    import torch

    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _to_safetensors(path: Path, model: nn.Module, example: Tensor, weights: Weights) -> Callable[[Tensor], Tensor]:
    from mnist_zoo.weights import pack, read_weights

    path.write_bytes(pack(weights.state, weights.description))
    return read_weights(path).build()


_FORMATS = {"onnx": _to_onnx, "torch_export": _to_torch_export, "safetensors": _to_safetensors}


# -- what they share --------------------------------------------------------------------------------------------


def _need(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"format=onnx needs {', '.join(missing)}: pip install 'mnist_zoo[export]'")


def _with_normalize(model: nn.Module, weights: Weights) -> nn.Module:
    from torch import nn

    from mnist_zoo.models.layers import Normalize

    known = weights.description
    if known.mean is None or known.std is None:
        raise InputError(f"{weights.path} does not say how its training images were scaled: drop with_normalize")
    if any(known.filters.values()):
        raise InputError(
            f"{weights.path} was trained on filtered images ({known.filters}), and filters are not exported"
        )
    return nn.Sequential(Normalize(known.mean, known.std), model).eval()


def _images(known: Description, count: int, pixels: bool) -> Tensor:
    """Return images to export and compare with: noise, as uint8 pixels or scaled like training images."""
    import torch

    noise = torch.randint(
        256, (count, *known.image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return noise if pixels else (noise / 255 - (known.mean or 0.0)) / (known.std or 1.0)


def _compare(model: nn.Module, exported: Callable[[Tensor], Tensor], known: Description, pixels: bool) -> float:
    """Return the largest difference between two networks' logits over batches of several sizes."""
    import torch

    with torch.inference_mode():
        batches = [_images(known, count, pixels) for count in CHECKED_BATCHES]
        return max((model(images) - exported(images)).abs().max().item() for images in batches)


def _milliseconds(network: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Return the median time of one call."""
    import torch

    times = []
    with torch.inference_mode():
        for _ in range(10):
            network(image)
        end = time.perf_counter() + TIMED
        while time.perf_counter() < end:
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[len(times) // 2]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporters say about their own insides; their errors still are errors."""
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


# -- the command ------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit status 1, and one line, if the network cannot be exported or is not the same afterwards."""
    options = _parser().parse_args(arguments)
    try:
        from mnist_zoo.plugins import import_plugin

        for plugin in options.plugin:
            import_plugin(plugin)
        exported = export_model(
            options.source, options.output, format=options.format, with_normalize=options.with_normalize
        )
    except (ZooError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{exported.path}: {exported.bytes:,} bytes; {exported.input}")
    print(f"  largest difference of a logit from PyTorch's: {exported.difference:.1e} (limit {TOLERANCE:g})")
    print(f"  one image: {exported.milliseconds:.3f} ms; in PyTorch {exported.torch_milliseconds:.3f} ms")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mnist_zoo.export", description="Write a trained network for other programs, and check it."
    )
    parser.add_argument("source", help="a run folder, a checkpoint, a .safetensors file, or a name with weights")
    parser.add_argument("--format", choices=SUFFIXES, default="onnx", help="default: onnx")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: <model> and the format's suffix, here")
    parser.add_argument("--with-normalize", action="store_true", help="take pixels 0-255 and scale them inside")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="import this first: it "
                        "registers the network")  # fmt: skip
    return parser


if __name__ == "__main__":
    main()
