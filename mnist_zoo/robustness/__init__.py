"""Measurements of trained networks beyond their accuracy: a registry of tests, and running them over any network.

A test is a function that `register_test` names. It gets a `Subject` (a network that takes pixels), `Images` and its
`Settings`, and returns an `Outcome` of plain values and arrays. `evaluate_model` runs tests on any
``torch.nn.Module``; ``python -m mnist_zoo.evaluate`` runs them on finished runs and keeps the results in their folders.
"""

from mnist_zoo.robustness import (  # noqa: F401  (importing a module of tests registers them)
    attacks,
    calibration,
    clean,
    corrupted,
    masking,
    ood,
    square,
)
from mnist_zoo.robustness.evaluation import evaluate_model
from mnist_zoo.robustness.images import Images
from mnist_zoo.robustness.registry import Outcome, Settings, list_tests, register_test
from mnist_zoo.robustness.subject import Subject

__all__ = ["Images", "Outcome", "Settings", "Subject", "evaluate_model", "list_tests", "register_test"]
