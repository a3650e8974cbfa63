"""Trained weights: the shipped ones, the user's own, those of version 0.1.0, and files that try to run code."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import pickle
from dataclasses import replace
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

ROOT = Path(__file__).parents[1]
OLD_RUN = ROOT / "tests" / "fixtures" / "0.1.0" / "run"
SHIPPED = {  # SHA-256 of the files
    "cnn": "72b187b8c9554347f99e98f7493c798f20021dac7c2c71085a9ef8f66f7046fc",
    "cnn_dropout": "c58ce5f8d1fa0c71e564c229dbe0044718c35fc45884308bd7345269f1679544",
    "lenet5": "eb95d3d76c4e6835ff0985d6ba121df3636e5254360e972324fd7453893b1ce3",
    "mlp": "192a38af684418cfadfe1a9181c1b1c34717e373c346d7bdcd1d463bde5254b1",
}
DIGITS = {"images": [250, 450, 950], "labels": [2, 4, 9]}  # test images of mnist5k
EXPECTED = {  # the largest logit for each of these images
    "cnn": [27.7788, 25.0794, 15.4341],
    "cnn_dropout": [24.9085, 15.0196, 13.0686],
    "lenet5": [9.485, 8.3952, 7.6656],
    "mlp": [18.6095, 16.5171, 10.8073],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return a folder with ``checkpoints/best.ckpt`` of a small network, trained for two epochs on blurred images."""
    folder = tmp_path_factory.mktemp("run")
    data = MNISTDataModule("mnist5k", train_fraction=0.05, filters={"blur": 1})
    model = LitClassifier({"name": "cnn", "channels": [4, 8], "dense": 16}, lr=3e-3)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, default_root_dir=folder, **quiet)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture
def changed(run, tmp_path):
    """Return ``changed(key=value, ...)``: the run's checkpoint with other entries, as a file."""

    def save(**entries) -> Path:
        checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        torch.save(checkpoint | entries, tmp_path / "changed.ckpt")
        return tmp_path / "changed.ckpt"

    return save


@pytest.mark.parametrize("name", SHIPPED)
class TestShipped:
    def test_the_file_is_the_one_that_its_card_describes(self, name):
        content = (FOLDER / f"{name}-mnist.safetensors").read_bytes()
        card = read_card(name)
        assert hashlib.sha256(content).hexdigest() == card["sha256"] == SHIPPED[name]
        assert card["bytes"] == len(content) < 1_000_000

    def test_the_card_has_command_accuracies_dates_and_versions(self, name):
        card = read_card(name)
        assert card["command"] == f"python -m mnist_zoo model={name} seed=0" and card["seed"] == 0
        assert card["n_test"] == 10_000 and 0.9 < card["test_acc"] < 1 and 0.9 < card["val_acc"] < 1
        assert card["test_acc"] == pytest.approx(card["test_acc_float32"], abs=2e-4), "float16 loses almost nothing"
        assert card["trained"] <= card["measured"] and {"torch", "mnist_zoo"} <= set(card["versions"])
        assert card["num_params"] == sum(p.numel() for p in create_model(name).parameters())

    def test_logits_of_three_digits_have_not_changed(self, name):
        # These digits are training images of MNIST: the test detects changes, it does not measure accuracy.
        data, known = load("mnist5k", Path("unused"), {}), read_weights(name).description
        images = torch.from_numpy(data.test_images[DIGITS["images"]]).unsqueeze(1).float() / 255
        model = create_model(name, pretrained="mnist").eval()
        with torch.inference_mode():
            largest, labels = model((images - known.mean) / known.std).max(1)
        assert labels.tolist() == data.test_labels[DIGITS["images"]].tolist() == DIGITS["labels"]
        assert largest.tolist() == pytest.approx(EXPECTED[name], abs=2e-3)


def test_all_shipped_weights_are_small_and_listed():
    expected = {name: ["mnist"] for name in sorted(SHIPPED)}
    expected["cnn"].append("mnist-robust")
    assert list_pretrained() == expected
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) < 3_000_000


def test_reading_weights_needs_no_network():
    """`mnist_zoo.models` imports `mnist_zoo.weights`; an import in the other direction would close a circle."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            ours = [name for name in names if name.startswith("mnist_zoo")]
            assert all(name.startswith(("mnist_zoo.weights", "mnist_zoo.errors")) for name in ours), path.name


class TestOwnWeights:
    def test_a_run_folder_a_checkpoint_and_safetensors_give_the_same_network(self, run, tmp_path):
        images = torch.rand(3, 1, 28, 28)
        checkpoint = run / "checkpoints" / "best.ckpt"
        expected = LitClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()(images)
        weights = read_weights(run)
        file = tmp_path / "mine.safetensors"
        file.write_bytes(pack(weights.state, weights.description))
        for path in (run, checkpoint, file, str(file)):
            # `channels` and `dense` are not given: they come from the file.
            assert torch.allclose(create_model("cnn", pretrained=path).eval()(images), expected, atol=1e-6)

    def test_safetensors_keep_every_field_of_the_description(self, run, tmp_path):
        weights = read_weights(run)
        (tmp_path / "mine.safetensors").write_bytes(pack(weights.state, weights.description))
        assert read_weights(tmp_path / "mine.safetensors").description == weights.description

    def test_predictions_use_the_filters_and_the_normalisation_of_the_training(self, run):
        known = read_weights(run).description
        data = MNISTDataModule("mnist5k", train_fraction=0.05, filters={"blur": 1})
        data.setup()
        assert (known.data, known.mean, known.std, known.image_shape) == ("mnist5k", data.mean, data.std, (1, 28, 28))
        raw = load("mnist5k", Path("unused"), {}).test_images[:50]
        with torch.inference_mode():
            expected = build_trained(read_weights(run))(next(iter(data.test_dataloader()))[0][:50]).softmax(1)
        found = [list(p.probabilities.values()) for p in predict_images(run, list(raw), raw=True)]
        assert np.allclose(found, expected, atol=1e-5)

    def test_a_checkpoint_without_our_data_module_has_defaults(self, changed):
        checkpoint = changed(MNISTDataModule={}, datamodule_hyper_parameters={})
        known = read_weights(checkpoint).description
        assert (known.data, known.mean, known.std, known.filters) == (None, None, None, {})
        assert known.image_shape == (1, 28, 28) and known.class_names == tuple("0123456789")

    def test_float16_weights_become_a_float32_network(self):
        weights = read_weights("lenet5")
        half = replace(weights, state={name: tensor.half() for name, tensor in weights.state.items()})
        model = build_trained(half)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32} and not model.training

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            (
                "resnet18",
                {"pretrained": "mnist"},
                "no weights of resnet18 for mnist .*cnn \\(mnist, mnist-robust\\), cnn_dropout",
            ),
            ("lenet5", {"pretrained": "fashion"}, "'fashion' is not a run folder, a file"),
            ("lenet5", {"pretrained": "mnist", "num_classes": 47}, "num_classes=47, but .* is for num_classes=10"),
            ("lenet5", {"pretrained": "mnist", "activation": "tanh"}, "activation=tanh, but .* activation=sigmoid"),
            ("cnn", {"pretrained": "mnist", "init": "he"}, "init=he and pretrained=mnist both set the weights"),
            ("cnn", {"pretrained": "mnist", "in_chans": 3}, "in_chans=3, but"),
            ("cnn", {"pretrained": FOLDER / "mlp-mnist.safetensors"}, "holds weights of mlp, not of cnn"),
        ],
    )
    def test_weights_of_another_network_or_with_other_options_are_refused(self, name, options, message):
        with pytest.raises(InputError, match=message):
            create_model(name, **options)

    def test_options_equal_to_those_of_the_weights_are_accepted(self):
        create_model("cnn", pretrained="mnist", channels=(32, 64), dense=[128], image_size=28)

    @pytest.mark.parametrize(
        ("model", "state", "message", "why"),
        [
            ({"name": "no_such_net"}, {}, "cannot be built: unknown model 'no_such_net'", "a plug-in is missing"),
            ({"name": "mlp", "hiden": [4]}, {}, "cannot be built: unknown option of model 'mlp' 'hiden'", "misspelt"),
            ({"name": "mlp", "hidden": "x"}, {}, "cannot be built", "a value of the wrong type"),
            ({}, {}, "cannot be built", "no name"),
            ({"name": "mlp"}, {}, r"does not fit mlp: .*Missing key", "tensors are missing"),
        ],
    )
    def test_weights_that_do_not_fit_their_description_are_refused(self, model, state, message, why):
        weights = read_weights("mlp")
        wrong = replace(weights, state=state, description=replace(weights.description, model=model))
        with pytest.raises(InputError, match=message) as error:
            build_trained(wrong)
        assert "mlp-mnist.safetensors" in str(error.value) and "\n" not in str(error.value), why


class TestVersion010:
    """Checkpoints that version 0.1.0 wrote."""

    def test_a_checkpoint_describes_its_network_and_data(self):
        known = read_weights(OLD_RUN).description
        assert known.name == "mlp" and known.model["hidden"] == [4] and "init" not in known.model
        assert (known.data, known.num_classes, known.image_shape) == ("mnist5k", 10, (1, 28, 28))
        assert known.mean == pytest.approx(0.1333995) and known.std == pytest.approx(0.3110467)

    def test_its_network_gives_the_logits_that_the_run_recorded(self):
        known = read_weights(OLD_RUN).description
        images = torch.from_numpy(load("mnist5k", Path("unused"), {}).test_images).unsqueeze(1)
        recorded = np.load(OLD_RUN / "predictions.npz")["logits"]
        for model in (
            build_trained(read_weights(OLD_RUN)),
            create_model("mlp", pretrained=OLD_RUN).eval(),
            LitClassifier.load_from_checkpoint(OLD_RUN / "checkpoints" / "best.ckpt", weights_only=True).eval(),
        ):
            with torch.inference_mode():
                logits = model((images / 255 - known.mean) / known.std)
            assert np.allclose(logits, recorded, atol=1e-5)


class Evil:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class TestUntrustedFiles:
    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's, when Lightning loads the file
    @pytest.mark.parametrize("form", ["checkpoint", "pickle"])
    def test_a_file_with_code_is_refused_and_the_code_never_runs(self, changed, tmp_path, form):
        trap, file = tmp_path / "sprung", tmp_path / "evil.ckpt"
        if form == "checkpoint":
            file = changed(hyper_parameters=Evil(f"touch {trap}"))
        else:
            file.write_bytes(pickle.dumps(Evil(f"touch {trap}")))
        message = "asks to run .*: refused" if form == "checkpoint" else "damaged or not a checkpoint"
        for read in (read_weights, lambda path: create_model("cnn", pretrained=path)):
            with pytest.raises(InputError, match=message):
                read(file)
        with pytest.raises((pickle.UnpicklingError, InputError)):
            LitClassifier.load_from_checkpoint(file)
        assert not trap.exists()
        with open(file, "rb") as opened:  # the trap works: this is what happens without weights_only
            torch.load(opened, weights_only=False) if form == "checkpoint" else pickle.load(opened)
        assert trap.exists()

    def test_a_checkpoint_cannot_name_code_to_call(self, run, changed):
        """Lightning calls the function that ``_instantiator`` names in a checkpoint; `read_weights` ignores it."""
        settings = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
        file = changed(hyper_parameters=settings | {"_instantiator": "no_such_module.run"})
        assert build_trained(read_weights(file)).features(torch.zeros(1, 1, 28, 28)).shape == (1, 16)

    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda content: content[:5000], "truncated"),
            (lambda content: b"", "empty"),
            (lambda content: b"hello " * 100, "text"),
        ],
    )
    def test_a_damaged_checkpoint_is_named(self, run, tmp_path, damage, why):
        file = tmp_path / "damaged.ckpt"
        file.write_bytes(damage((run / "checkpoints" / "best.ckpt").read_bytes()))
        with pytest.raises(InputError, match="is damaged or not a checkpoint") as error:
            read_weights(file)
        assert str(file) in str(error.value) and "\n" not in str(error.value), why

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ({"a": 1}, "a dict without weights"),
            (torch.zeros(3), "a tensor"),
            ({"state_dict": {}, "hyper_parameters": {"model": 3}}, "hyper-parameters of another kind"),
            (
                {"state_dict": {}, "hyper_parameters": {"model": {}, "num_classes": 2, "in_chans": 1}}
                | {"MNISTDataModule": {"image_shape": [28, 28]}},
                "an image shape without channels",
            ),
        ],
    )
    def test_a_checkpoint_of_another_program_is_named(self, tmp_path, content, why):
        torch.save(content, tmp_path / "other.ckpt")
        with pytest.raises(InputError, match=r"other\.ckpt does not describe its network: it was not written by"):
            read_weights(tmp_path / "other.ckpt")

    @staticmethod
    def safetensors(metadata: dict | None) -> bytes:
        """Return a file with one number in it, and this metadata."""
        header: dict = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        if metadata is not None:
            header["__metadata__"] = metadata
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + bytes(4)

    @pytest.mark.parametrize(
        ("content", "message", "why"),
        [
            ((FOLDER / "mlp-mnist.safetensors").read_bytes()[:1000], "damaged or not a safetensors file", "truncated"),
            (safetensors(None), "does not describe its network: write it with", "written by another program"),
            (
                safetensors({"mnist_zoo": "{"}),
                "does not describe its network: write it with",
                "metadata that is not JSON",
            ),
            (safetensors({"mnist_zoo": "{}"}), "does not describe its network: write it with", "an empty description"),
        ],
    )
    def test_other_safetensors_files_are_named(self, tmp_path, content, message, why):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=rf"x\.safetensors .*{message}"):
            read_weights(tmp_path / "x.safetensors")
