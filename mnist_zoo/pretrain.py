"""``python -m mnist_zoo.pretrain autoencoder experiment=autoencoder``: pretraining of an MLP without labels."""

from __future__ import annotations

import shlex

from mnist_zoo.command import Parser, one_line_errors, one_line_warnings


def main() -> None:
    """Entry point of ``python -m mnist_zoo.pretrain`` and ``mnist-zoo-pretrain``."""
    parser = Parser(
        prog="python -m mnist_zoo.pretrain",
        description="Train the hidden layers of an MLP on images without labels, and write weights to start from.",
    )
    parser.add_argument("kind", help="autoencoder (denoising), or dbn (restricted Boltzmann machines)")
    parser.add_argument("overrides", nargs="*", help="as in training: experiment=autoencoder data=mnist5k seed=1")
    parser.add_argument("--epochs", type=int, default=10, help="of each layer (default: 10)")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate (default: 0.1)")
    parser.add_argument("--noise", type=float, help="share of zeroed values, of an autoencoder (default: 0.25)")
    parser.add_argument("--name", help="of the files (default: the kind)")
    parser.add_argument("--force", action="store_true", help="replace files of this name")
    arguments = parser.parse_intermixed_args()
    with one_line_errors(), one_line_warnings():
        from mnist_zoo.hydra_app.pretraining import pretrain_and_write  # here: --help need not wait for Hydra

        name = arguments.kind if arguments.name is None else arguments.name
        found, path = pretrain_and_write(
            *(arguments.kind, arguments.overrides, name, arguments.force),
            *(arguments.epochs, arguments.rate, arguments.noise),
        )
        for number, losses in enumerate(found.losses, 1):
            print(
                f"layer {number}: reconstruction loss {losses[0]:.2f} in the first epoch, {losses[-1]:.2f} in the last"
            )
        print(f"{path}\n{path.with_suffix('.png')}   images and their reconstructions")
        print(path.with_suffix(".csv"))
        words = [*arguments.overrides, f"pretrained={path}"]
        print(f"next: {shlex.join(['python', '-m', 'mnist_zoo', '-m', *words])}")


if __name__ == "__main__":
    main()
