"""The network that a config describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def network_of(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's name and options as `LitClassifier` takes them, with the weights that training starts from.

    Configs of versions up to 0.2.0 may have no ``pretrained``.
    """
    start = cfg.get("pretrained")
    return dict(cfg["model"]) | ({} if start is None else {"pretrained": start})
