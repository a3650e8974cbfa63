"""Transfer: SVHN's files, training that starts from other weights, and tests of a run on another data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

from mnist_zoo import MNISTDataModule, create_model, register_dataset
from mnist_zoo.data import ImageSet, sources, svhn
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.evaluate import main
from mnist_zoo.hydra_app.arguments import prepare
from mnist_zoo.runs import read_evaluation, read_metrics
from mnist_zoo.training.run import run


def write_svhn(root: Path, count: int = 40) -> np.ndarray:
    """Write the two files of SVHN, with label 10 for the digit 0, and return the images ``(32, 32, 3, N)`` of both."""
    root.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 2 * count), dtype=np.uint8)
    labels = np.where(np.arange(count) % 10, np.arange(count) % 10, 10).astype(np.uint8)[:, None]
    for number, name in enumerate(svhn.FILES):
        savemat(root / name, {"X": images[..., number * count :][..., :count], "y": labels}, do_compression=True)
    return images


class TestSvhn:
    def test_images_are_those_of_torchvision_grey_and_small(self, tmp_path, monkeypatch):
        write_svhn(tmp_path)
        monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)  # of the published files
        theirs = torchvision.datasets.SVHN(tmp_path, split="test", transform=None)
        data = load("svhn", tmp_path, {})
        assert data.test_labels.tolist() == theirs.labels.tolist() == [*range(10)] * 4
        assert data.test_images.shape == data.train_images.shape == (40, 28, 28)
        for ours, (image, _) in zip(data.test_images, theirs, strict=True):
            expected = np.asarray(image.convert("L").resize((28, 28), 2), np.int16)  # 2: bilinear
            assert np.abs(ours - expected).max() <= 2, "Pillow rounds twice"

    def test_many_images_are_converted_in_parts(self, tmp_path, monkeypatch):
        write_svhn(tmp_path)
        whole = load("svhn", tmp_path, {})
        monkeypatch.setattr(svhn, "AT_ONCE", 7)
        assert np.array_equal(load("svhn", tmp_path, {}).train_images, whole.train_images)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", ""),
            (b"<html>not found</html>" * 20, ""),
            ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "'y'"),
            ({"X": np.zeros((28, 28, 2), np.uint8), "y": np.ones((2, 1))}, r"X has the shape \(28, 28, 2\)"),
            ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1))}, r"y \(3, 1\)"),
            ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1), np.uint8)}, "X is float64"),
            ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.full((2, 1), 11, np.uint8)}, "integers from 1 to 10"),
            ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.zeros((2, 1), np.uint8)}, "integers from 1 to 10"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, content, reason):
        write_svhn(tmp_path)
        path = tmp_path / svhn.FILES[1]
        path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
        with pytest.raises(InputError, match=rf"test_32x32\.mat is damaged or not a file of SVHN \(.*{reason}.*delete"):
            load("svhn", tmp_path, {})

    def test_a_truncated_file_is_named(self, tmp_path):
        write_svhn(tmp_path)
        path = tmp_path / svhn.FILES[0]
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(InputError, match=r"train_32x32\.mat is damaged"):
            load("svhn", tmp_path, {})

    def test_a_file_that_takes_too_much_memory_is_refused_before_it_is_read(self, tmp_path, monkeypatch):
        write_svhn(tmp_path)
        monkeypatch.setattr("mnist_zoo.data.reading.MAX_BYTES", 1000)
        monkeypatch.setattr("scipy.io.loadmat", None)
        with pytest.raises(InputError, match=r"train_32x32\.mat: 40 images of 32x32x3 take"):
            load("svhn", tmp_path, {})


LINE = ("data=mnist5k", "data.train_fraction=0.2", "model=mlp", "model.hidden=[16]", "epochs=1", "trainer=cpu")
QUIET = ("logger=none", "progress=none")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Return the folder of a finished run of an MLP on the embedded digits."""
    from mnist_zoo.hydra_app.compose import compose_config

    folder = tmp_path_factory.mktemp("source") / "model=mlp,seed=0"
    run(compose_config([*LINE, *QUIET]), folder, brief=True)
    return folder


class TestPretrained:
    def test_training_starts_from_the_weights_of_a_run(self, source, config, tmp_path):
        run(config(*LINE, *QUIET, "lr=1e-30", "seed=3") | {"pretrained": str(source)}, tmp_path / "run", brief=True)
        before, after = (create_model("mlp", pretrained=folder) for folder in (source, tmp_path / "run"))
        for name, tensor in before.state_dict().items():
            assert torch.equal(tensor, after.state_dict()[name]), name
        metrics, old = read_metrics(tmp_path / "run"), read_metrics(source)
        assert metrics["config"]["pretrained"] == str(source) and "pretrained" not in old["config"]
        assert metrics["test_acc"] == old["test_acc"] and metrics["model_options"] == old["model_options"]

    def test_weights_of_the_package_are_named_by_their_data(self, config, tmp_path):
        cfg = config("model=mlp", *(word for word in LINE if not word.startswith("model")), *QUIET, "lr=1e-30")
        run(cfg | {"pretrained": "mnist"}, tmp_path, brief=True)
        assert torch.equal(
            create_model("mlp", pretrained=tmp_path).head.bias, create_model("mlp", pretrained="mnist").head.bias
        )

    def test_it_is_resumed_as_it_was(self, source, config, tmp_path):
        cfg = config(*LINE, *QUIET) | {"pretrained": str(source)}
        run(cfg, tmp_path, brief=True)
        with pytest.warns(UserWarning, match="was tested 1 time already"):
            run(cfg | {"epochs": 2}, tmp_path, resume=True, brief=True)
        assert read_metrics(tmp_path)["epochs_run"] == 2
        with pytest.raises(InputError, match=r"made with other settings \(pretrained: .* -> None\)"):
            run(cfg | {"epochs": 3, "pretrained": None}, tmp_path, resume=True, brief=True)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"pretrained": "nowhere"}, "'nowhere' is not a run folder, a file, or a name with shipped weights"),
            ({"model": {"hidden": [8]}}, r"hidden=\[8\], but best.ckpt is for hidden=\[16\]"),
            ({"model": {"init": "he"}}, "init=he and pretrained=.* both set the weights"),
            ({"model": {"name": "mlp_128"}}, "holds weights of mlp, not of mlp_128"),
        ],
    )
    def test_weights_that_do_not_fit_are_one_line(self, source, config, tmp_path, changes, message):
        cfg = config(*LINE, *QUIET)
        cfg |= {"pretrained": changes.get("pretrained", str(source)), "model": cfg["model"] | changes.get("model", {})}
        with pytest.raises(InputError, match=message):
            run(cfg, tmp_path, brief=True)

    def test_a_path_with_commas_is_one_value_and_others_may_be_swept(self, source):
        assert f"pretrained='{source}'" in prepare([*LINE, f"pretrained={source}"])
        assert "pretrained=null,mnist" in prepare(["-m", *LINE, "pretrained=null,mnist"])


def evaluate(capsys, *words: object) -> tuple[int, str, str]:
    """Return exit status, output and errors of the command."""
    status = 0
    try:
        main([str(word) for word in words])
    except SystemExit as error:
        status = int(error.code or 0)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


class TestOtherData:
    def test_a_run_is_tested_on_another_data_set_of_the_same_classes(self, source, tmp_path, capsys):
        write_svhn(tmp_path)
        status, out, _ = evaluate(capsys, source, "--on", "clean", "data=svhn", f"data.root={tmp_path}")
        assert status == 0 and "clean on svhn: accuracy" in out
        ((_, kept),) = read_evaluation(source).items()
        data = MNISTDataModule("svhn", root=str(tmp_path))
        assert (kept["data"], kept["images"], kept["fingerprint"]) == ("svhn", 40, data.fingerprint)
        pixels, trained = data.images("test").float() / 255, MNISTDataModule("mnist5k", train_fraction=0.2)
        trained.setup()
        with torch.no_grad():  # scaled as the images of its training
            predicted = create_model("mlp", pretrained=source).eval()((pixels - trained.mean) / trained.std).argmax(1)
        assert kept["values"]["accuracy"] == pytest.approx((predicted == data.labels("test")).double().mean().item())
        assert "measured before" in evaluate(capsys, source, "--on", "clean", "data=svhn", "--data-root", tmp_path)[1]
        assert evaluate(capsys, source, "--on", "clean")[0] == 0 and len(read_evaluation(source)) == 2

    def test_the_images_get_the_filters_of_the_training(self, config, tmp_path, capsys):
        write_svhn(tmp_path)
        run(config(*LINE, *QUIET, "data.filters.blur=2"), tmp_path / "run", brief=True)
        assert evaluate(capsys, tmp_path / "run", "--on", "clean", "data=svhn", f"data.root={tmp_path}")[0] == 0
        ((_, kept),) = read_evaluation(tmp_path / "run").items()
        filters = {"blur": 2, "sharpen": False}
        assert kept["fingerprint"] == MNISTDataModule("svhn", root=str(tmp_path), filters=filters).fingerprint

    @pytest.fixture
    def others(self, own_parts, monkeypatch):
        """Data sets that do not fit a network for digits."""
        monkeypatch.setattr("mnist_zoo.data.sources._SOURCES", dict(sources._SOURCES))
        for name, shape, names in (("large", (30, 30), "0123456789"), ("letters", (28, 28), "abcdefghij")):

            def images(root, shape=shape, names=names):
                pixels, labels = np.zeros((40, *shape), np.uint8), np.arange(40) % 10
                return ImageSet(pixels, labels, pixels, labels, tuple(names))

            register_dataset(name)(images)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["data=custom", "data.name=large"], "takes images of 1x28x28 (channels x height x width), and"),
            (["data=custom", "data.name=letters"], "knows the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and data=letters"),
            (["data=cifar11"], "unknown data 'cifar11'; did you mean cifar10?"),
            (["data.root=x"], "data.root=x is a setting of another data set: name that with data=NAME"),
            (["data=svhn", "data.filters.blur=1"], "data.filters.blur=1: the images get the filters that the network"),
            (["data=svhn", "data.root=nowhere"], "SVHN is not in nowhere and could not be downloaded"),
        ],
    )  # fmt: skip
    @pytest.mark.usefixtures("others")
    def test_a_data_set_that_does_not_fit_is_one_line(self, source, tmp_path, monkeypatch, capsys, words, message):
        monkeypatch.setattr("torchvision.datasets.SVHN", raise_unreachable)
        monkeypatch.chdir(tmp_path)
        status, _, err = evaluate(capsys, source, "--on", "clean", *words)
        assert status == 1 and message in err and len(err.strip().splitlines()) == 1

    def test_images_of_the_training_are_refused(self, capsys):
        status, _, err = evaluate(capsys, "mlp", "--on", "clean", "data=mnist5k")
        assert status == 1 and "mlp was trained on the images of data=mnist5k, a part of mnist" in err

    def test_a_command_without_a_network_is_one_line(self, capsys):
        status, _, err = evaluate(capsys, "data=mnist5k")
        assert status == 1 and "data=mnist5k is no network: name a run folder" in err


def raise_unreachable(*arguments: object, **named: object) -> None:
    raise OSError("network is unreachable")
