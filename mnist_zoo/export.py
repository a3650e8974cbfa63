"""``python -m mnist_zoo.export``: write a trained network for other programs."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.inference.formats import SUFFIXES
from mnist_zoo.waiting import loading_torch


def main(arguments: list[str] | None = None) -> None:
    """Export a network; exit with status 1 and one line if that is impossible or the logits differ."""
    options = _parser().parse_intermixed_args(arguments)
    with one_line_errors():
        with loading_torch("export", silent=True):
            from mnist_zoo.inference.export import TOLERANCE, export_model  # after parsing: it imports torch
        from mnist_zoo.plugins import import_plugin

        for plugin in options.plugin:
            import_plugin(plugin)
        exported = export_model(
            options.source,
            options.output,
            format=options.format,
            with_normalize=options.with_normalize,
            force=options.force,
        )
        print(f"{exported.path}: {exported.bytes:,} bytes; {exported.input}")
        print(f"  largest difference of a logit from PyTorch's: {exported.difference:.1e} (limit {TOLERANCE:g})")
        print(f"  one image: {exported.milliseconds:.3f} ms; in PyTorch {exported.torch_milliseconds:.3f} ms")
        print(f"  load it: {exported.loading}")


def _parser() -> Parser:
    parser = Parser(
        prog="python -m mnist_zoo.export",
        description="Write a trained network for other programs, and check that its logits are the same.",
    )
    add = parser.add_argument
    add("source", help="a run folder, a checkpoint, a .safetensors file, or a name with shipped weights")
    add("--format", choices=SUFFIXES, default="onnx", help="default: onnx")
    add("-o", "--output", metavar="FILE", help="default: in the current folder, the run's name (cnn-mnist for "
        "shipped weights) and the format's suffix")  # fmt: skip
    add("--force", action="store_true", help="replace the file if it exists")
    add("--with-normalize", action="store_true", help="input is uint8 0-255; the network normalises it")
    add("--plugin", action="append", default=[], metavar="MODULE", help="import this module, which registers networks")
    return parser


if __name__ == "__main__":
    main()
