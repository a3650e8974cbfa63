"""``python -m mnist_zoo.draw``: write a page on which users draw a digit for trained networks."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.waiting import loading_torch


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m mnist_zoo.draw`` and ``mnist-zoo-draw``."""
    options = _parser().parse_intermixed_args(arguments)
    with one_line_errors():
        with loading_torch("draw"):
            from mnist_zoo.inference.drawing.page import write_page
            from mnist_zoo.plugins import import_plugin

        for plugin in options.plugin:
            import_plugin(plugin)
        size = write_page(options.sources, options.out)
        print(f"{options.out}: {size:,} bytes; open it in a browser, it needs no network connection")


def _parser() -> Parser:
    parser = Parser(
        prog="python -m mnist_zoo.draw",
        description="Write one HTML file of at most 2 MB on which users draw a digit and see what trained networks "
        "make of it: probabilities, feature maps of the first stage, and where each network looks.",
    )
    add = parser.add_argument
    add("sources", nargs="+", metavar="MODEL_OR_RUN", help="a run folder, a checkpoint, a .safetensors file, or a name "
        "with shipped weights: auto, mlp, lenet5, cnn, cnn_dropout")  # fmt: skip
    add("--out", required=True, metavar="FILE", help="the HTML file, over the old one if there is one")
    add("--plugin", action="append", default=[], metavar="MODULE", help="import this module, which registers networks")
    return parser


if __name__ == "__main__":
    main()
