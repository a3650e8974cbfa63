"""What a classical model is fitted on: the pixels of each split, or the features of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.runs import RunFolder, read_metrics
from mnist_zoo.runs.records import NETWORK_FOLDER
from mnist_zoo.splits import SPLITS
from mnist_zoo.training.network import classifier_options
from mnist_zoo.training.run import run as train_network


def pixels(data: MNISTDataModule) -> dict[str, np.ndarray]:
    """Return the images of each split as networks get them, flattened: float32 ``(N, C * H * W)``."""
    return _by_split(data, lambda images: images.flatten(1))


def network_features(
    cfg: Mapping[str, Any], folder: RunFolder, data: MNISTDataModule, callbacks: Iterable[Any], tune_process: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Train a network on the training split, and return what enters its last layer for each split.

    The network is a run of its own in the folder ``network/`` of the run: trained with the settings of `cfg`, its best
    epoch chosen on validation. It continues if it was interrupted, and is not trained again if it is finished.

    Args:
        cfg: a composed config. ``model.network`` names the network.
        folder: the run folder.
        data: of the run.
        callbacks: for Lightning's Trainer.
        tune_process: as `mnist_zoo.training.run.run` takes it.

    Returns:
        float32 ``(N, D)`` by split, and the metrics of the network.

    Raises:
        InputError: if the network has no `features`.
    """
    own = RunFolder(folder.path / NETWORK_FOLDER)
    model = {"name": cfg["model"]["network"], "init": cfg["model"].get("init", "default")}
    of_network = {**cfg, "model": model}
    if not hasattr(LitClassifier(**classifier_options(of_network, data)).model, "features"):  # before it is trained
        raise InputError(f"model.network={model['name']}: this network has no method features(images)")
    train_network(of_network, own.path, resume=True, callbacks=callbacks, tune_process=tune_process, brief=True)
    metrics = read_metrics(own.path)
    assert metrics is not None, "a run that ends without an error has written them"
    network: Any = LitClassifier.load_from_checkpoint(own.best_checkpoint, map_location="cpu", weights_only=True).model
    network.eval()
    return _by_split(data, network.features), metrics


def _by_split(data: MNISTDataModule, features: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {
            split: torch.cat([features(images).flatten(1) for images, _ in data.eval_dataloader(split)]).numpy()
            for split in SPLITS
        }
