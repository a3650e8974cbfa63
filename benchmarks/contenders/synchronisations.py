"""How often a training with this library waits for its device within an epoch, as counted by torch's profiler."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity, profile

from benchmarks.contenders.epochs import training_images
from benchmarks.turn import Turn
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.training.run import run

# `.item()` and similar calls, and CUDA's own ways to wait. The profiler itself waits once, when it stops.
WAITS = ("aten::_local_scalar_dense", "cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize")


def main(turn: Turn, overrides: list[str], folder: str) -> None:
    """Profile the training part of the second epoch in a single turn, and report its steps and the count of `WAITS`."""
    turn.wait()
    counter = _Counter()
    run(compose_config([*overrides, "epochs=2"]), folder, callbacks=[counter], tune_process=True)
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
            self.images = training_images(trainer)
