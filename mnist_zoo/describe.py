"""``python -m mnist_zoo.describe MODEL``: the layers of a network, with shapes, parameters and operations."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m mnist_zoo.describe`` and ``mnist-zoo-describe``."""
    parser = Parser(
        prog="python -m mnist_zoo.describe",
        description="Print the layers of a network with output shape, parameters and floating-point operations of one "
        "image, in the order in which they run.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the name of a network, a run folder, a checkpoint or a .safetensors file")
    add("overrides", nargs="*", metavar="OVERRIDE", help="options of a named network, as in training: model.dense=96")
    add("--image", metavar="CxHxW", help="shape of the images of a named network (default: 1x28x28)")
    add("--classes", type=int, metavar="N", help="number of classes of a named network (default: 10)")
    add("--svg", metavar="FILE", help="write a diagram of the network, over the old file if there is one")
    add("--plugin", action="append", default=[], metavar="MODULE", help="import this module, which registers networks")
    options = parser.parse_intermixed_args(arguments)
    with one_line_errors(), one_line_warnings():
        from mnist_zoo.hydra_app.describing import (
            describe,
            table,
            write_diagram,
        )  # here: --help need not wait for Hydra

        described = describe(options.model, options.overrides, options.plugin, options.image, options.classes)
        print(table(described))
        if options.svg is not None:
            write_diagram(described, options.svg)
            print(f"diagram: {options.svg}")


if __name__ == "__main__":
    main()
