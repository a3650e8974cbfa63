"""Use in other projects: networks, LitClassifier, data module and plug-ins, each without the rest of the zoo."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mnist_zoo import (
    LitClassifier,
    MNISTDataModule,
    create_model,
    register_dataset,
    register_model,
    register_scheduler,
)
from mnist_zoo.data import ImageSet, sources
from mnist_zoo.errors import InputError
from mnist_zoo.models import registry
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.predict import main
from mnist_zoo.weights import Description, pack, read_weights, unpack

ROOT = Path(__file__).parents[1]
SILENT = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def test_importing_the_package_does_not_import_torch_or_hydra():
    code = "import mnist_zoo, sys; print([m for m in ('torch', 'hydra', 'pytorch_lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_network_is_a_plain_module_that_can_be_trained_in_a_plain_loop():
    model = create_model("resnet18", num_classes=47, in_chans=3)
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8) * 5
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert model.features(images).shape == (8, 512)


def test_litclassifier_works_with_another_trainer_and_loader(tmp_path):
    labels = torch.arange(120) % 3
    images = torch.rand(120, 3, 20, 20) * 0.2
    images[torch.arange(120), labels] += 0.5
    loader = DataLoader(TensorDataset(images, labels), batch_size=20)
    model = LitClassifier({"name": "cnn", "image_size": 20}, lr=1e-3, num_classes=3, in_chans=3)
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", default_root_dir=tmp_path, **SILENT)
    trainer.fit(model, loader, loader)
    assert trainer.callback_metrics["val_acc"] > 0.9
    [metrics] = trainer.test(model, loader, verbose=False)
    assert metrics["test_acc"] == 1 and set(metrics) == {"test_acc", "test_loss"}
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    again = LitClassifier.load_from_checkpoint(tmp_path / "mine.ckpt", weights_only=True).eval()
    assert torch.equal(again(images[:4]), model.eval()(images[:4]))


def test_the_data_module_works_with_another_lightning_module(tmp_path):
    class Softmax(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def training_step(self, batch, batch_idx):
            images, labels = batch
            return nn.functional.cross_entropy(self.layer(images.flatten(1)), labels)

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.training_step(batch, batch_idx), batch_size=len(batch[1]))

        def test_step(self, batch, batch_idx):
            images, labels = batch
            accuracy = (self.layer(images.flatten(1)).argmax(1) == labels).float().mean()
            self.log("accuracy", accuracy, batch_size=len(labels))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=3e-3)

    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", default_root_dir=tmp_path, **SILENT)
    data, model = MNISTDataModule("mnist5k", batch_size=50), Softmax()
    trainer.fit(model, datamodule=data)
    [metrics] = trainer.test(model, datamodule=data, verbose=False)
    assert metrics["accuracy"] > 0.8


# -- checkpoints ---------------------------------------------------------------------------------------------------


def plain_trainer(tmp_path, *callbacks, **options):
    given = {"max_epochs": 1, "accelerator": "cpu", "default_root_dir": tmp_path, "callbacks": list(callbacks)}
    return pl.Trainer(**given | SILENT | options)


def test_a_checkpoint_can_be_read_when_settings_were_numbers_of_numpy_and_paths(tmp_path):
    model = LitClassifier(
        {"name": "mlp_128", "dropout": np.float64(0.25), "hidden": np.array([8, 4])},
        lr=np.logspace(-3, -1, 3)[0],
        optimizer={"name": "sgd", "momentum": np.float64(0.5)},
        label_smoothing=np.float64(0.1),
        num_classes=np.arange(10).max() + 1,
        image_shape=np.array([1, 28, 28]),
    )
    options = {"train_fraction": np.float64(0.5), "val_size": np.int64(20), "train": np.int64(100)}
    data = MNISTDataModule("stripes", root=tmp_path, augment={"rotate": np.float64(3)}, **options)
    assert data.class_counts["val"] == [2] * 10
    own = plain_trainer(tmp_path, limit_train_batches=1)
    own.fit(model, datamodule=data)
    own.save_checkpoint(tmp_path / "mine.ckpt")
    assert read_weights(tmp_path / "mine.ckpt").description.model == {
        "name": "mlp_128",
        "dropout": 0.25,
        "hidden": [8, 4],
    }
    again = LitClassifier.load_from_checkpoint(tmp_path / "mine.ckpt")
    assert torch.equal(again.model.head.weight, model.model.head.weight)
    kept = torch.load(tmp_path / "mine.ckpt", weights_only=True)["datamodule_hyper_parameters"]
    assert (kept["root"], kept["train"], kept["augment"]) == (str(tmp_path), 100, {"rotate": 3.0})


def test_images_that_are_options_of_a_data_set_are_not_kept_in_checkpoints(monkeypatch):
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    register_dataset("arrays")(lambda root, images, labels: ImageSet(images, labels, images, labels))
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 10
    data = MNISTDataModule("arrays", images=images, labels=labels, val_size=10)
    assert data.image_shape == (1, 8, 8) and {"images", "labels"}.isdisjoint(data.hparams)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "mlp", "activation": nn.ReLU}, "model: activation=.*ReLU.*: a checkpoint cannot hold a type"),
        (nn.Linear(784, 10), "model is a Linear: it must be a registered name, .* register_model gives a name"),
        (None, "model is a NoneType: it must be a registered name"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_before_training(model, message):
    with pytest.raises(InputError, match=message):
        LitClassifier(model)


def test_a_network_with_other_outputs_than_the_data_set_has_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"num_classes=3, and the data set has 10 classes: use .*num_classes=10"):
        plain_trainer(tmp_path).fit(LitClassifier("mlp_128", num_classes=3), datamodule=MNISTDataModule("stripes"))


def test_an_attack_on_pixels_of_another_scale_is_refused(tmp_path):
    data, options = MNISTDataModule("stripes", batch_size=16), {"limit_train_batches": 1}
    data.setup()
    with pytest.raises(InputError, match=r"adversary: mean=0 and std=1, and the images are scaled with mean=0\.\d"):
        plain_trainer(tmp_path, **options).fit(LitClassifier("mlp_128", adversary="fgsm"), datamodule=data)
    known = {"name": "fgsm", "mean": round(data.mean, 2), "std": round(data.std, 2)}
    plain_trainer(tmp_path, **options).fit(LitClassifier("mlp_128", adversary=known), datamodule=data)


def test_a_data_module_of_a_subclass_describes_the_images_in_the_checkpoint(tmp_path):
    class Mine(MNISTDataModule):
        pass

    own, data = plain_trainer(tmp_path, limit_train_batches=1), Mine("stripes", filters={"blur": 1})
    own.fit(LitClassifier("mlp"), datamodule=data)
    own.save_checkpoint(tmp_path / "mine.ckpt")
    known = read_weights(tmp_path / "mine.ckpt").description
    assert (known.data, known.mean, known.std) == ("stripes", data.mean, data.std)


def test_training_with_a_limit_of_batches_resumes_exactly(tmp_path):
    def train(epochs, checkpoint=None):
        torch.manual_seed(0)
        own, model = plain_trainer(tmp_path, max_epochs=epochs, limit_train_batches=4), LitClassifier("mlp_128")
        own.fit(model, datamodule=MNISTDataModule("stripes", batch_size=16), ckpt_path=checkpoint)
        own.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return model.model.head.weight, own.callback_metrics["train_loss"]

    through = train(2)
    train(1)
    resumed = train(2, tmp_path / "1.ckpt")
    assert torch.equal(through[0], resumed[0]) and through[1] == resumed[1]


class Peek(Callback):
    """Looks at training images, as callbacks do that draw some, and saves a checkpoint after the second batch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        next(iter(trainer.datamodule.train_dataloader()))
        if batch_idx == 1:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "second.ckpt")


class Count(Callback):
    """Counts the images of the training metrics at the end of an epoch."""

    def on_validation_epoch_end(self, trainer, module):
        self.images = float(module.train_metrics.images)


@pytest.mark.filterwarnings("ignore:You're resuming")  # Lightning does not know that the DataModule resumes
def test_a_checkpoint_within_an_epoch_matters_only_to_the_training_that_it_resumes(tmp_path):
    data, model = MNISTDataModule("stripes", batch_size=16), LitClassifier("mlp_128")
    plain_trainer(tmp_path, Peek()).fit(model, datamodule=data)
    place = tmp_path / "second.ckpt"
    assert torch.load(place)["MNISTDataModule"]["position"] == {"batch": 2, "of": 11}
    plain_trainer(tmp_path).test(model, datamodule=data, ckpt_path=place, verbose=False)
    images = len(data.labels("train"))
    for again in (model, LitClassifier.load_from_checkpoint(place)):
        plain_trainer(tmp_path, count := Count(), num_sanity_val_steps=0).fit(again, datamodule=data)
        assert count.images == images
    own = plain_trainer(tmp_path, count := Count(), num_sanity_val_steps=0)
    own.fit(model, datamodule=data, ckpt_path=place)
    assert count.images == images


def test_an_interrupted_validation_does_not_count(tmp_path):
    data, model = MNISTDataModule("stripes"), LitClassifier("mlp_128")
    [expected] = plain_trainer(tmp_path).validate(model, datamodule=data, verbose=False)
    model.validation_step(next(iter(data.train_dataloader())), 0)
    assert plain_trainer(tmp_path).validate(model, datamodule=data, verbose=False) == [expected]


def test_a_checkpoint_is_saved_after_a_look_at_images_and_a_validation(tmp_path):
    data, model, own = MNISTDataModule("stripes"), LitClassifier("mlp_128"), plain_trainer(tmp_path)
    next(iter(data.train_dataloader()))
    own.validate(model, datamodule=data, verbose=False)
    own.save_checkpoint(tmp_path / "looked.ckpt")
    assert torch.load(tmp_path / "looked.ckpt")["MNISTDataModule"]["position"] == {"batch": 0, "of": 0}


def test_a_network_with_shared_weights_is_packed():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    state = nn.Sequential(first, second).state_dict()
    known = Description({"name": "my_net"}, 4, 1, (1, 2, 2), None, None, None, tuple("abcd"), {})
    assert torch.equal(unpack(pack(state, known), Path("mine")).state["1.weight"], first.weight)


# -- schedules and registration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulated", [1, 4])
def test_a_schedule_by_epoch_is_told_the_number_of_epochs(own_parts, tmp_path, accumulated):
    told = []

    @register_scheduler("spy", every="epoch")
    def spy(optimizer, steps):
        told.append(steps)
        return torch.optim.lr_scheduler.ConstantLR(optimizer)

    own = plain_trainer(tmp_path, max_epochs=3, accumulate_grad_batches=accumulated)
    own.fit(LitClassifier("mlp_128", scheduler="spy"), datamodule=MNISTDataModule("stripes", batch_size=16))
    assert told == [3]


def test_a_schedule_of_a_training_without_end_is_refused(tmp_path):
    own = plain_trainer(tmp_path, max_epochs=-1)
    with pytest.raises(InputError, match="needs the number of steps: give the Trainer max_epochs, and limit_train"):
        own.fit(LitClassifier("mlp_128", scheduler="cosine"), datamodule=MNISTDataModule("stripes"))


@pytest.mark.parametrize("register", [register_dataset, register_model], ids=["data set", "model"])
@pytest.mark.parametrize("name", [3, ""])
def test_a_registration_without_name_is_refused(register, name):
    with pytest.raises(InputError, match=f"{register.__name__} needs a name: @{register.__name__}"):
        register(name)


def test_a_data_set_that_is_registered_without_parentheses_is_refused():
    with pytest.raises(InputError, match="register_dataset needs a name"):

        @register_dataset
        def mine(root):
            raise AssertionError


def test_a_builder_that_returns_no_network_is_named(monkeypatch):
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    register_model("forgot")(lambda num_classes, in_chans: None)
    with pytest.raises(InputError, match=r"model 'forgot' gave NoneType: its builder must return a torch\.nn\.Module"):
        create_model("forgot")


def test_options_reach_a_data_set_that_takes_any(monkeypatch):
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    register_dataset("any")(lambda root, **options: sources.load("stripes", root, options))
    assert sum(MNISTDataModule("any", train=100).class_counts["val"]) == 8
    with pytest.raises(InputError, match="batchsize=3: data set 'mnist5k' has no options; see MNISTDataModule"):
        MNISTDataModule("mnist5k", batchsize=3).setup()


# -- images of the wrong shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "shape", "message"),
    [
        ("cnn", {}, (2, 1, 32, 32), "built for 28x28 images and got 32x32: build it with image_size"),
        ("lenet5", {}, (2, 1, 28, 20), "built for 28x28 images and got 28x20"),
        ("mlp", {}, (2, 3, 28, 28), "built for in_chans=1 and got images of 3 channels: build it with in_chans=3"),
        ("simple_m3", {}, (2, 1, 27, 27), "built for 28x28 images and got 27x27"),
        ("googlenet", {}, (2, 1, 14, 14), "takes images of 15x15 or more and got 14x14"),
        ("googlenet", {}, (2, 1, 64, 8), "takes images of 15x15 or more and got 64x8"),
        ("resnet18", {"in_chans": 3}, (2, 1, 28, 28), "built for in_chans=3 and got images of 1 channels"),
        ("cnn", {}, (2, 28, 28), r"takes float images \(N, C, H, W\), not torch.float32 of shape \(2, 28, 28\)"),
    ],
)
def test_images_of_the_wrong_shape_are_refused(name, options, shape, message):
    model = create_model(name, **options).eval()
    for call in (model, model.features):
        with pytest.raises(InputError, match=message):
            call(torch.zeros(shape))


def test_uint8_images_are_refused_with_the_cure():
    with pytest.raises(InputError, match=r"scale uint8 with images\.float\(\) / 255"):
        create_model("cnn")(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("name", "side"), [("googlenet", 15), ("resnet18", 1), ("lenet5", 12), ("mlp", 1), ("cnn", 10), ("simple_m7", 25)]
)
def test_the_smallest_image_size_works_and_one_pixel_less_is_refused(name, side):
    sized = {} if name in ("googlenet", "resnet18") else {"image_size": side}
    smaller = {} if not sized else {"image_size": side - 1}
    assert create_model(name, **sized).eval()(torch.rand(2, 1, side, side)).shape == (2, 10)
    with pytest.raises(InputError, match=r"no pixels left|it must be 1 or more|or more and got"):
        create_model(name, **smaller)(torch.rand(2, 1, side - 1, side - 1))


# -- networks and data sets of plug-ins on the command line -------------------------------------------------------

PLUGIN = '''
import numpy as np
from torch import nn
from mnist_zoo import register_dataset, register_model
from mnist_zoo.data import ImageSet

@register_model("my_net")
class MyNet(nn.Module):
    def __init__(self, num_classes, in_chans, width=32):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 16 * 16, width), nn.ReLU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.features(x))

@register_dataset("my_set")
def my_set(root, count=120):
    """Return noise with one brighter channel, which is the class."""
    rng, labels = np.random.default_rng(0), np.arange(count) % 3
    images = rng.integers(0, 60, (count, 3, 16, 16), dtype=np.uint8)
    images[np.arange(count), labels] += 120
    return ImageSet(images, labels, images[:30], labels[:30], ("red", "green", "blue"))
'''


@pytest.mark.slow
def test_a_plugins_network_and_data_set_are_trained_and_used_for_predictions(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "shapes.py").write_text(PLUGIN)
    line = [sys.executable, "-m", "mnist_zoo", "plugins=[my_lab.shapes]", "model=my_net", "+model.width=16"]
    line += ["data=my_set", "+data.count=150", "epochs=3", "trainer=cpu"]
    line += ["logger=none", "hydra.run.dir=run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["model"], metrics["data"]) == ("my_net", "my_set")
    assert metrics["num_params"] == 768 * 16 + 16 + 16 * 3 + 3 and metrics["test_acc"] > 0.9

    # The plug-in's registrations are undone after the test.
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    pixels = np.full((16, 16, 3), 30, np.uint8)
    pixels[..., 1] = 150
    Image.fromarray(pixels).save("leaf.png")
    for arguments, status, output in [
        (["run", "leaf.png", "--raw", "--plugin", "my_lab.shapes"], 0, "leaf.png  green "),
        (["run", "leaf.png", "--plugin", "my_lab.shapes"], 1, "trained on my_set of shape 3x16x16, classes red, green"),
    ]:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out, err = capsys.readouterr()
        assert end.value.code == status and output in out + err
    monkeypatch.delitem(sys.modules, "my_lab.shapes")


def test_a_network_that_is_not_registered_is_named(tmp_path):
    known = Description({"name": "my_net"}, 3, 3, (3, 16, 16), None, 0.5, 0.5, ("red", "green", "blue"), {})
    (tmp_path / "mine.safetensors").write_bytes(pack({"w": torch.zeros(1)}, known))
    with pytest.raises(InputError, match="unknown model 'my_net'"):
        build_trained(read_weights(tmp_path / "mine.safetensors"))


@pytest.mark.slow
def test_the_example_trains_a_support_vector_machine_on_features(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["features_svm.py", "--epochs", "2"])
    runpy.run_path(str(ROOT / "examples" / "features_svm.py"), run_name="__main__")
    head, own, svm = capsys.readouterr().out.splitlines()
    assert "3667 images to train, 128 features, 1000 to test" in head
    assert float(own.split()[-1]) > 0.85 and float(svm.split()[-1]) > 0.9
