"""One test for each use of what Lightning does not document, to name the culprit when an upgrade breaks it."""

from __future__ import annotations

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


def test_the_position_that_0_1_0_saved_is_found(version_0_1_0):
    checkpoint = torch.load(version_0_1_0 / "batches/checkpoints/last.ckpt", weights_only=True)
    assert internals.loader_state(checkpoint) == {"position": 5, "batches": 12}


def test_later_checkpoints_have_no_such_position(tmp_path):
    own = trainer(tmp_path, max_epochs=1)
    own.fit(LitClassifier("mlp"), datamodule=MNISTDataModule("stripes", batch_size=16))
    own.save_checkpoint(tmp_path / "new.ckpt")
    assert internals.loader_state(torch.load(tmp_path / "new.ckpt", weights_only=True)) is None
