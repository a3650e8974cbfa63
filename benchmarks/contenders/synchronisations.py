"""How often a training of this library waits for its device within an epoch, as torch's profiler counts it."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity, profile

import mnist_zoo.training.run
from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config

# `.item()` and its like, and CUDA's own ways to wait. The profiler itself waits for the device once, when it stops.
WAITS = ("aten::_local_scalar_dense", "cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize")


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Profile the second epoch's training part in the one turn there is, and report steps and each of `WAITS`."""
    turn.wait()
    counter = _Counter()
    mnist_zoo.training.run.run(compose_config([*overrides, "epochs=2"]), folder, callbacks=[counter])
    turn.report(counter.images, steps=counter.steps, **counter.waits)
    turn.wait()


class _Counter(Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            self._before = trainer.global_step
            self._profile = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
            self._profile.start()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            self._profile.stop()
            counts = {event.key: event.count for event in self._profile.key_averages()}
            self.waits = {name: counts.get(name, 0) for name in WAITS}
            self.steps = trainer.global_step - self._before
            self.images = len(trainer.datamodule.labels("train"))
