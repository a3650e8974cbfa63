"""The images of the jobs of stacks, and the device on which they train."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from mnist_zoo.data import MNISTDataModule, load_data
from mnist_zoo.stacked.settings import NotStackable
from mnist_zoo.training.trainer import require_cuda


class Loaded:
    """The images that were loaded last: most sweeps have one data set."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._data: MNISTDataModule

    def data(self, cfg: dict[str, Any]) -> MNISTDataModule:
        """Return the data of a job, set up, with the device on which it trains."""
        key = tuple(repr(cfg.get(name)) for name in ("data", "batch_size", "augment", "plugins", "trainer"))
        if key != self._key:
            self._data = load_data(cfg)
            self._data.setup()
            self._data.device = _device(cfg["trainer"]["accelerator"])
            self._key = key
        return self._data


def _device(accelerator: str) -> torch.device:
    """Return the device on which a Trainer with this accelerator trains."""
    require_cuda(accelerator)
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator=accelerator, devices=1, enable_progress_bar=False, **silent)
    device = trainer.strategy.root_device
    if device.type not in ("cpu", "cuda"):
        raise NotStackable(f"trainer.accelerator={accelerator}", f"{device.type} is neither a CPU nor a GPU of CUDA")
    return device
