"""The checks of the exercises: each prints ``correct``, or ``not yet`` and a hint. They compute the answers in their
own way, from random numbers where they can, so look at them after you have tried."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Numbers = Any  # what a student returns may be anything


def check(hint: str) -> Callable[[Callable[..., bool]], Callable[..., None]]:
    """Return a decorator: a function that returns whether an answer is right becomes one that prints so."""

    def decorate(right: Callable[..., bool]) -> Callable[..., None]:
        @functools.wraps(right)
        def report(*answers: Any) -> None:
            try:
                passed = right(*answers)
            except Exception as error:  # whatever a student's code raises
                print(f"{right.__name__}: not yet. It raises {type(error).__name__}: {error}")
                return
            print(f"{right.__name__}: {'correct' if passed else f'not yet. {hint}'}")

        return report

    return decorate


def close(found: Numbers, expected: Numbers, tolerance: float = 1e-4) -> bool:
    """Return whether an answer has the expected shape and values."""
    if unanswered(found):
        return False
    found, expected = (np.asarray(torch.as_tensor(value).detach(), dtype=np.float64) for value in (found, expected))
    return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=tolerance, atol=tolerance))


def unanswered(answer: Numbers) -> bool:
    """Return whether an answer is, or contains, the ``...`` of an exercise, or nothing."""
    return answer is None or answer is ... or (isinstance(answer, (tuple, list)) and any(map(unanswered, answer)))


# -- lesson 1: data ---------------------------------------------------------------------------------------------------


@check("The pixels are 0-255: divide by 255 first. Use all images at once, and convert to float before you add up.")
def brightness(answer: Numbers, images: Tensor) -> bool:
    pixels = images.numpy() / 255.0
    return close(answer, (pixels.mean(), pixels.std()), 1e-3)


@check("Count how many training images have each of the ten labels; the answer has ten whole numbers.")
def class_counts(answer: Numbers, labels: Tensor) -> bool:
    return close(answer, [int((labels == digit).sum()) for digit in range(10)])


@check("predict(train_images, train_labels, images) returns for each image the class whose mean image is nearest.")
def nearest_mean(predict: Callable[..., Tensor]) -> bool:
    rng = np.random.default_rng(0)
    train, images = (rng.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8) for count in (300, 50))
    labels = rng.permutation(np.arange(300) % 10)
    means = np.stack([train[labels == digit].mean(0) for digit in range(10)])
    expected = np.square(images[:, None] - means).sum((2, 3, 4)).argmin(1)  # float64
    return close(predict(*map(torch.from_numpy, (train, labels, images))), expected)


# -- lesson 2: MLP and back-propagation -------------------------------------------------------------------------------


@check("Subtract the largest logit of each row before exp: the result is the same, and exp does not overflow.")
def softmax(answer: Callable[[Tensor], Tensor]) -> bool:
    logits = torch.tensor([[1.0, 2.0, 3.0], [-5.0, 0.0, 5.0], [1000.0, 999.0, 0.0]])
    return close(answer(logits), logits.softmax(1))


@check("It is (softmax - one-hot label) / N: N, because the loss is the mean over the images.")
def loss_gradient(answer: Callable[[Tensor, Tensor], Tensor]) -> bool:
    rng = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(6, 10, generator=rng), torch.randint(10, (6,), generator=rng)
    return close(answer(logits, labels), torch.func.grad(F.cross_entropy)(logits, labels), 1e-5)


@check("Go backwards: the gradient of W2 is hidden^T @ d, of hidden d @ W2^T, and ReLU passes it where hidden > 0.")
def backward(answer: Callable[..., tuple[Tensor, ...]]) -> bool:
    rng = torch.Generator().manual_seed(2)
    images, labels = torch.rand(12, 7, generator=rng), torch.randint(4, (12,), generator=rng)
    shapes = [(7, 5), (5,), (5, 4), (4,)]
    weights = tuple(torch.randn(shape, generator=rng) for shape in shapes)

    def loss(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return F.cross_entropy((images @ w1 + b1).relu() @ w2 + b2, labels)

    expected = torch.func.grad(loss, argnums=(0, 1, 2, 3))(*weights)
    found = answer(images, labels, *weights)
    return len(found) == 4 and all(close(one, other, 1e-5) for one, other in zip(found, expected, strict=True))


# -- lesson 3: convolutions -------------------------------------------------------------------------------------------


@check("Each output pixel is the sum of the kernel times the part of the image below it. The kernel is not flipped.")
def convolve(answer: Callable[[Tensor, Tensor], Tensor]) -> bool:
    rng = torch.Generator().manual_seed(3)
    for sides in ((6, 7, 3, 2), (5, 5, 1, 1), (8, 4, 3, 4)):
        image, kernel = torch.rand(sides[:2], generator=rng), torch.randn(sides[2:], generator=rng)
        if not close(answer(image, kernel), F.conv2d(image[None, None], kernel[None, None])[0, 0], 1e-5):
            return False
    return True


@check("floor((side + 2 * padding - kernel) / stride) + 1")
def output_side(answer: Callable[[int, int, int, int], int]) -> bool:
    cases = [(28, 3, 1, 0), (28, 5, 1, 2), (28, 5, 2, 0), (7, 3, 2, 1), (14, 2, 2, 0), (9, 4, 3, 1)]
    for side, kernel, stride, padding in cases:
        expected = nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, side, side)).shape[-1]
        if answer(side, kernel, stride, padding) != expected:
            return False
    return True


@check("A convolution has in * out * kernel * kernel weights and out biases, wherever it is applied in the image.")
def convolution_parameters(answer: Callable[[int, int, int], int]) -> bool:
    cases = [(1, 32, 3), (32, 64, 3), (3, 16, 5)]
    return all(answer(*case) == sum(parameter.numel() for parameter in nn.Conv2d(*case).parameters()) for case in cases)


# -- lesson 4: comparing honestly -------------------------------------------------------------------------------------


@check("Use the formula above with z = 1.96. The interval of 10 correct of 10 is 0.722 to 1, not 1 to 1.")
def interval(answer: Callable[[int, int], tuple[float, float]]) -> bool:
    def wilson(correct: int, count: int) -> tuple[float, float]:
        # The bounds are the shares p for which (found - p)^2 = z^2 p (1 - p) / count: the roots of this polynomial.
        found, z2 = correct / count, 1.96**2
        low, high = sorted(np.roots([1 + z2 / count, -2 * found - z2 / count, found * found]).real)
        return low, high

    return all(close(answer(*case), wilson(*case), 1e-3) for case in ((10, 10), (950, 1000), (3, 7), (0, 5)))


@check("Average the differences of pairs, and divide their standard deviation (ddof=1) by the root of their number.")
def paired_difference(answer: Callable[[np.ndarray, np.ndarray], tuple[float, float]]) -> bool:
    rng = np.random.default_rng(4)
    seeds = rng.normal(0.95, 0.02, 8)
    first, second = seeds + 0.01 + rng.normal(0, 0.001, 8), seeds
    differences = first - second
    return close(answer(first, second), (differences.mean(), differences.std(ddof=1) / math.sqrt(8)), 1e-6)


@check("In each trial draw the accuracies of all seeds, keep the best, and subtract the true accuracy. Average these.")
def selection_bias(answer: float) -> bool:
    """The mean of the best of ten measurements, each of 1,000 images, of a network with accuracy 0.95."""
    rng = np.random.default_rng(5)
    best = rng.binomial(1000, 0.95, (200_000, 10)).max(1) / 1000
    return not unanswered(answer) and abs(float(answer) - (best.mean() - 0.95)) < 0.0003


# -- lesson 5: robustness ---------------------------------------------------------------------------------------------


@check("pixels + epsilon * sign of the gradient of the loss, clipped to 0-1. The gradient is that of the pixels.")
def fgsm(answer: Callable[..., Tensor]) -> bool:
    torch.manual_seed(6)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    pixels, labels = torch.rand(5, 1, 28, 28), torch.randint(10, (5,))
    gradient = torch.func.grad(lambda images: F.cross_entropy(model(images), labels))(pixels)
    expected = (pixels + 0.2 * gradient.sign()).clamp(0, 1)
    found = answer(model, pixels.clone(), labels, 0.2)
    return close(found, expected, 1e-5) and not found.requires_grad


@check("Add normal noise to each pixel of each image, and clip to 0-1: a brightness below 0 does not exist.")
def noisy(answer: Callable[[Tensor, float], Tensor]) -> bool:
    grey, black = torch.full((50, 1, 28, 28), 0.5), torch.zeros(50, 1, 28, 28)
    found, clipped = answer(grey, 0.1), answer(black, 0.5)
    if unanswered(found) or found.shape != grey.shape:
        return False
    noise = (found - grey).flatten(1) / 0.1  # (50, 784): of a standard normal distribution
    own = max(float(noise.mean(0).std()), float(noise.mean(1).std())) < 0.3  # not that of other images or pixels
    normal = abs(float(noise.mean())) < 0.1 and 0.65 < float((noise.abs() < 1).float().mean()) < 0.72
    inside = float(clipped.min()) >= 0 and float(clipped.max()) <= 1
    return own and normal and 0.95 < float(noise.std()) < 1.05 and inside and float((clipped == 0).float().mean()) > 0.4


@check("The mean of the largest probabilities, minus the share of images for which the class of it is the label.")
def overconfidence(answer: Callable[[Tensor, Tensor], float]) -> bool:
    rng = torch.Generator().manual_seed(7)
    logits, labels = 3 * torch.randn(200, 10, generator=rng), torch.randint(10, (200,), generator=rng)
    most, classes = logits.softmax(1).max(1)
    found = answer(logits, labels)
    return not unanswered(found) and close(float(found), float(most.mean() - (classes == labels).float().mean()), 1e-5)
