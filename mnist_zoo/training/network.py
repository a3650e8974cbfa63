"""The network that a config describes, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnist_zoo.data import MNISTDataModule


def network_of(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's name and options as `LitClassifier` takes them, with the weights that training starts from.

    Configs of versions up to 0.2.0 may have no ``pretrained``.
    """
    start = cfg.get("pretrained")
    return dict(cfg["model"]) | ({} if start is None else {"pretrained": start})


def classifier_options(cfg: Mapping[str, Any], data: MNISTDataModule) -> dict[str, Any]:
    """Return the arguments of `LitClassifier`."""
    return {
        "model": network_of(cfg),
        "lr": cfg["lr"],
        "optimizer": cfg["optimizer"],
        "scheduler": cfg["scheduler"],
        "loss": cfg.get("loss", "cross_entropy"),
        "label_smoothing": cfg["label_smoothing"],
        "adversary": _adversary(cfg, data),
        "num_classes": data.num_classes,
        "image_shape": data.image_shape,
    }


def _adversary(cfg: Mapping[str, Any], data: MNISTDataModule) -> dict[str, Any]:
    """Return the attack of a config, which configs of version 0.1.0 do not have, for images as `data` scales them."""
    chosen = cfg.get("adversary", {"name": "none"})
    return chosen if chosen["name"] == "none" else {**chosen, "mean": data.mean, "std": data.std}
