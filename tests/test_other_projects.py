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
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mnist_zoo import LitClassifier, MNISTDataModule, create_model
from mnist_zoo.data import sources
from mnist_zoo.errors import InputError
from mnist_zoo.models import registry
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.predict import main
from mnist_zoo.weights import Description, pack, read_weights

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
