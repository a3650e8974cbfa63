"""Running tests on a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images
from mnist_zoo.robustness.registry import Outcome, Progress, RegisteredTest, Settings, chosen_tests
from mnist_zoo.robustness.subject import PixelNetwork, Subject, frozen

DEFAULT = ("clean", "fgsm", "pgd")


def evaluate_model(
    model: nn.Module,
    data: Any,
    on: Sequence[str] = DEFAULT,
    *,
    images: int | None = None,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    mean: float | None = None,
    std: float | None = None,
) -> dict[str, Outcome]:
    """Measure a network with tests beyond its accuracy, on the device where it is.

    Args:
        model: any network, images float32 ``(N, C, H, W)`` to logits ``(N, num_classes)``. It is left as it was.
        data: an `MNISTDataModule`, or a pair: images uint8 ``(N, C, H, W)`` and labels, integers ``(N,)``.
        on: names of tests, see `mnist_zoo.robustness.list_tests`.
        images: measure the first images only. None: as many as each test does by default (attacks: 1,000).
        seed: of everything random in the tests.
        options: options of single tests, such as ``{"pgd": {"steps": 50, "restarts": 10}}``.
        mean: the network's input is ``(pixel - mean) / std`` with pixels from 0 to 1. None: as the batches of the
            `MNISTDataModule`, or 0 and 1 for a pair.
        std: see `mean`.

    Returns:
        An `Outcome` for each test, by name: plain values and arrays. Accuracies are fractions.

    Raises:
        InputError: unknown test or option, a value out of range, or images of a size that the network does not take.

    Example:
        >>> from mnist_zoo import MNISTDataModule, create_model, evaluate_model
        >>> data, model = MNISTDataModule("mnist5k"), create_model("mlp")
        >>> outcome = evaluate_model(model, data, on=["clean"], images=100)["clean"]
        >>> sorted(outcome.values), outcome.arrays["correct"].shape
        (['accuracy', 'loss'], (100,))
    """
    common = {"seed": seed} | ({} if images is None else {"images": images})
    chosen = chosen_tests(on, options or {}, common)
    measured = Images.of(data)
    scaled = isinstance(data, MNISTDataModule)
    mean = mean if mean is not None else data.mean if scaled else 0.0
    std = std if std is not None else data.std if scaled else 1.0
    if not std > 0:
        raise InputError(f"std={std}: it must be above 0")
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    with frozen(model):
        subject = Subject(type(model).__name__, PixelNetwork(model, mean, std), device=device)
        return {test.name: run_test(subject, measured, test, settings) for test, settings in chosen}


def run_test(
    subject: Subject, images: Images, test: RegisteredTest, settings: Settings, progress: Progress = lambda share: None
) -> Outcome:
    """Run one test on a network.

    Raises:
        InputError: if the network does not take the images, or the test cannot be run on them.
    """
    classes = subject.check(images.split(settings.split, 2)[0])
    highest = max(int(labels.max()) for labels in (images.test_labels, images.val_labels) if labels is not None)
    if highest >= classes:
        raise InputError(f"{subject.name} has {classes} classes, and a label is {highest}")
    return test.measure(subject, images, settings, progress)
