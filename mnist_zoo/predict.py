"""``python -m mnist_zoo.predict``: predict the classes of images with a trained network."""

from __future__ import annotations

import sys

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.waiting import loading_torch


def main(arguments: list[str] | None = None) -> None:
    """Predict images; exit with status 1 if the request is invalid or an image cannot be read, else 0."""
    options = _parser().parse_intermixed_args(arguments)
    with one_line_errors():
        with loading_torch("predict", silent=True):  # after parsing; silent: a program may read the output
            from mnist_zoo.inference.images import find_images
            from mnist_zoo.inference.output import Targets
            from mnist_zoo.inference.predict import predict_images
            from mnist_zoo.plugins import import_plugin

        targets = Targets(options.csv, options.json, options.show, options.explain)
        files = find_images(options.images)
        targets.check_inputs([options.source, *files])

        for plugin in options.plugin:
            import_plugin(plugin)
        predictions = predict_images(options.source, files, raw=options.raw, many=options.many)
        failed = targets.write(predictions, options.source)
    sys.exit(1 if failed else 0)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m mnist_zoo.predict",
        description="Predict the digits that images show. Images are first converted to the format of MNIST: the digit "
        "is found by its difference from the paper around it, scaled to 20x20 and centred by mass in 28x28.",
    )
    add = parser.add_argument
    add("source", help="auto (weights trained for photographs), a run folder, a checkpoint, a .safetensors file, or a "
        "name with weights trained on MNIST: mlp, lenet5, cnn, cnn_dropout")  # fmt: skip
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, WebP or BMP files, folders, or glob patterns in "
        "quotes")  # fmt: skip
    add("--many", action="store_true", help="read all digits on each image, from left to right")
    add("--raw", action="store_true", help="do not convert the images: they have the size and the colours of the "
        "network's training images (MNIST: 28x28, light on black)")  # fmt: skip
    add("--csv", metavar="FILE", help="write the predictions with all probabilities, over the old file if there "
        "is one; - writes to the terminal")  # fmt: skip
    add("--json", metavar="FILE", help="the same as JSON")
    add("--show", metavar="PNG", help="write a picture of the network's input images")
    add("--explain", metavar="PNG", help="write a picture of what the first 20 predictions depend on (needs captum)")
    add("--plugin", action="append", default=[], metavar="MODULE", help="import this module, which registers networks")
    return parser


if __name__ == "__main__":
    main()
