"""Overrides that change nothing because of another setting. Only the words of a command tell them from defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.types import Override

from mnist_zoo.errors import InputError

STOPPING = ("early_stop.patience", "early_stop.min_delta")


def require_used(overrides: Iterable[Override], cfg: Mapping[str, Any]) -> None:
    """Raise InputError for an override of when to stop early, if the configuration watches no metric.

    An experiment may have these settings without a metric: ``experiment=dropout early_stop.monitor=null`` is valid.

    Args:
        overrides: those that the user gave.
        cfg: the configuration of a run. Classical models have no ``early_stop``.
    """
    stop = cfg.get("early_stop")
    if not isinstance(stop, Mapping) or stop.get("monitor") is not None:
        return
    for override in overrides:
        if override.key_or_group in STOPPING and not override.is_delete():
            raise InputError(f"{override.input_line} stops nothing without a metric: add early_stop.monitor=val_loss")
