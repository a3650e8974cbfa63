"""Silence Lightning where a run prints its own lines."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("pytorch_lightning", "lightning_fabric")
IGNORED = (  # warnings that do not apply to a run
    ".*is smaller than the logging interval",  # nothing is logged by step
    ".*LeafSpec.* is deprecated",  # Lightning's own call into torch
    ".*ended before the epoch ended and your dataloader",  # MNISTDataModule resumes within the epoch
    ".*sync_dist=True",  # the metrics of several processes are added up before they are logged
)


def silence_lightning() -> None:
    """Switch off Lightning's greetings and tips, and the warnings above, for the rest of the process."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IGNORED:
        warnings.filterwarnings("ignore", message=message)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Do the same within a block, and restore levels and filters at its end."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
