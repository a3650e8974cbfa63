"""PGD on the shipped `cnn`: this library's, and foolbox's."""

from __future__ import annotations

import torch

from benchmarks.turn import Turn
from mnist_zoo import MNISTDataModule, create_model
from mnist_zoo.robustness.attacks import PGDSettings, pgd
from mnist_zoo.robustness.images import Images
from mnist_zoo.robustness.subject import PixelNetwork, read_subject

STEPS = 40


def main(turn: Turn, kind: str, epsilon: float, count: int, root: str) -> None:
    """Attack the first `count` test images each turn, and report how many stay correct as ``accuracy``.

    Args:
        turn: the parent's word.
        kind: ``zoo``, or ``foolbox``, with the network as `create_model` gives it.
        epsilon: of the L-inf attack; 40 steps of 2.5 epsilon / 40 from a random start.
        count: images to attack.
        root: folder of the data.
    """
    if kind == "foolbox":
        try:
            import foolbox
        except ImportError:
            turn.missing("foolbox is not installed: pip install '.[attacks]'")
            return
    data = MNISTDataModule("mnist", root=root)
    pixels, labels = data.images("test")[:count], data.labels("test")[:count]
    images, floats = Images.of((pixels, labels)), pixels.float() / 255
    subject, weights = read_subject("cnn", torch.device("cpu"))
    known = weights.description
    assert known.mean is not None and known.std is not None
    plain = PixelNetwork(create_model("cnn", pretrained="mnist").eval(), known.mean, known.std).eval()
    settings = PGDSettings(images=count, epsilons=(epsilon,), steps=STEPS)
    while True:
        turn.wait()
        if kind == "zoo":
            # The whole test of `evaluate`: also random noise, and the attack with epsilon 1 on 200 images.
            accuracy = pgd(subject, images, settings, lambda share: None).values["accuracy"][0]
        else:
            attack = foolbox.attacks.LinfPGD(steps=STEPS, rel_stepsize=2.5 / STEPS)
            broken = attack(foolbox.PyTorchModel(plain, bounds=(0, 1)), floats, labels, epsilons=epsilon)[2]
            accuracy = (~broken).double().mean().item()
        turn.report(count, accuracy=accuracy)
