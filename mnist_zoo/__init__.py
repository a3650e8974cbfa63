"""mnist_zoo: compare image classifiers on MNIST-sized data, with PyTorch Lightning and Hydra.

The public names are loaded on first use, so that importing the package is quick and starts nothing. More is in
`mnist_zoo.models`, `mnist_zoo.data`, `mnist_zoo.speed`, `mnist_zoo.training`, `mnist_zoo.inference`,
`mnist_zoo.robustness`, `mnist_zoo.weights`, `mnist_zoo.runs` and `mnist_zoo.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "LitClassifier": "mnist_zoo.classifier",
    "MNISTDataModule": "mnist_zoo.data",
    "create_model": "mnist_zoo.models",
    "evaluate_model": "mnist_zoo.robustness",
    "export_model": "mnist_zoo.inference.export",
    "list_datasets": "mnist_zoo.data",
    "list_models": "mnist_zoo.models",
    "list_pretrained": "mnist_zoo.weights",
    "load_runs": "mnist_zoo.report.frames",
    "predict_images": "mnist_zoo.inference.predict",
    "register_augmentation": "mnist_zoo.data",
    "register_dataset": "mnist_zoo.data",
    "register_loss": "mnist_zoo.losses",
    "register_model": "mnist_zoo.models",
    "register_optimizer": "mnist_zoo.optim",
    "register_scheduler": "mnist_zoo.optim",
}
__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:  # for type checkers and editors; at run time __getattr__ loads the names
    from mnist_zoo.classifier import LitClassifier
    from mnist_zoo.data import MNISTDataModule, list_datasets, register_augmentation, register_dataset
    from mnist_zoo.inference.export import export_model
    from mnist_zoo.inference.predict import predict_images
    from mnist_zoo.losses import register_loss
    from mnist_zoo.models import create_model, list_models, register_model
    from mnist_zoo.optim import register_optimizer, register_scheduler
    from mnist_zoo.report.frames import load_runs
    from mnist_zoo.robustness import evaluate_model
    from mnist_zoo.weights import list_pretrained


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnist_zoo' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
