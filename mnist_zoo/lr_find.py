"""``python -m mnist_zoo.lr_find model=cnn optimizer=sgd``: a learning-rate range test."""

from __future__ import annotations

import shlex

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings


def main() -> None:
    """Entry point of ``python -m mnist_zoo.lr_find`` and ``mnist-zoo-lr-find``."""
    parser = Parser(
        prog="python -m mnist_zoo.lr_find",
        description="Train for some steps while the learning rate grows, draw the loss, and suggest a learning rate.",
    )
    parser.add_argument("overrides", nargs="*", help="as in training: model=cnn optimizer=sgd batch_size=128")
    parser.add_argument("--low", type=float, default=1e-6, help="learning rate of the first step (default: 1e-6)")
    parser.add_argument("--high", type=float, default=1.0, help="learning rate of the last step (default: 1)")
    parser.add_argument("--steps", type=int, default=200, help="number of steps, one batch each (default: 200)")
    arguments = parser.parse_intermixed_args()
    with one_line_errors(), one_line_warnings():
        from mnist_zoo.hydra_app.range_test import range_test  # here: --help need not wait for Hydra

        found, folder = range_test(arguments.overrides, arguments.low, arguments.high, arguments.steps)
        print(
            f"the loss falls fastest at lr={found.suggestion:.2g}, and is lowest at lr={found.rates[found.lowest]:.2g}"
        )
        print(f"{folder}/lr_find.png\n{folder}/lr_find.csv")
        words = [*arguments.overrides, f"lr={found.suggestion:.2g}"]
        print(f"next: {shlex.join(['python', '-m', 'mnist_zoo', *words])}")


if __name__ == "__main__":
    main()
