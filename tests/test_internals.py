"""One test for each use of what other libraries do not document, to name the culprit when an upgrade breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from mnist_zoo import LitClassifier, MNISTDataModule, internals


def trainer(tmp_path, **options) -> pl.Trainer:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, enable_model_summary=False, **silent, **options)


def test_counted_steps_show_in_global_step_of_manual_optimisation(tmp_path):
    class Manual(LitClassifier):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            internals.count_optimizer_steps(self.trainer, 3)

    module = Manual("mlp")
    module.automatic_optimization = False
    own = trainer(tmp_path, max_epochs=1, limit_train_batches=4)
    own.fit(module, datamodule=MNISTDataModule("stripes", batch_size=16))
    assert own.global_step == 12


def test_a_checkpoint_says_global_step_in_both_modes(tmp_path):
    """Saved in automatic optimisation; loaded in manual optimisation after `agree_on_steps`."""
    own = trainer(tmp_path, max_epochs=1)
    own.fit(LitClassifier("mlp"), datamodule=MNISTDataModule("stripes", batch_size=16))
    own.save_checkpoint(tmp_path / "automatic.ckpt")
    checkpoint = torch.load(tmp_path / "automatic.ckpt", weights_only=True)
    internals.agree_on_steps(checkpoint)
    torch.save(checkpoint, tmp_path / "both.ckpt")

    class Manual(LitClassifier):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            assert self.trainer.global_step == 11

    module = Manual("mlp")
    module.automatic_optimization = False
    later = trainer(tmp_path, max_epochs=2, limit_train_batches=1)
    data = MNISTDataModule("stripes", batch_size=16)
    later.fit(module, datamodule=data, ckpt_path=tmp_path / "both.ckpt", weights_only=True)
    assert later.global_step == 11


def test_the_loops_after_whole_epochs_are_those_of_a_trainer(tmp_path):
    """Saved as the recorder saves, before the epoch counts as completed, in manual optimisation."""

    class Manual(LitClassifier):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            internals.count_optimizer_steps(self.trainer, 1)

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "epoch.ckpt")

    module = Manual("mlp")
    module.automatic_optimization = False
    own = trainer(tmp_path, max_epochs=2, callbacks=[Save()])
    own.fit(module, datamodule=MNISTDataModule("stripes", batch_size=16))
    saved = torch.load(tmp_path / "epoch.ckpt", weights_only=True)["loops"]["fit_loop"]
    made = internals.trained_loops(2, 22)["fit_loop"]
    saved["epoch_loop.state_dict"] = made["epoch_loop.state_dict"]  # counts batches with a step of Lightning's own
    assert made == saved


def test_the_position_that_0_1_0_saved_is_found(version_0_1_0):
    checkpoint = torch.load(version_0_1_0 / "batches/checkpoints/last.ckpt", weights_only=True)
    assert internals.loader_state(checkpoint) == {"position": 5, "batches": 12}


def test_later_checkpoints_have_no_such_position(tmp_path):
    own = trainer(tmp_path, max_epochs=1)
    own.fit(LitClassifier("mlp"), datamodule=MNISTDataModule("stripes", batch_size=16))
    own.save_checkpoint(tmp_path / "new.ckpt")
    assert internals.loader_state(torch.load(tmp_path / "new.ckpt", weights_only=True)) is None


@pytest.mark.slow
def test_tensorboard_writes_without_importing_tensorflow(tmp_path):
    """A package named tensorflow is there; its import would fail the test and print a line."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow/__init__.py").write_text("print('TensorFlow was imported')\n")
    code = f"""
import sys
from mnist_zoo.internals import keep_tensorflow_out
assert "torch" not in sys.modules
keep_tensorflow_out()
from pytorch_lightning.loggers import TensorBoardLogger
logger = TensorBoardLogger({str(tmp_path)!r}, name="", version="", default_hp_metric=False)
logger.log_hyperparams({{"lr": 1.0}}, {{"final/val_acc": 0.5}})
logger.log_metrics({{"val_acc": 0.5}}, 1)
logger.finalize("success")
print("tensorflow" in sys.modules)
"""
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    line = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=200)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr
    assert list(tmp_path.glob("events.out.tfevents.*"))
