"""Data of users: folders of images, NPZ archives and CIFAR-10; and networks that follow their shape."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from mnist_zoo import LitClassifier, MNISTDataModule, list_models, register_dataset
from mnist_zoo.data import ImageSet, image_folders
from mnist_zoo.data.cifar10 import TEST, TRAIN
from mnist_zoo.data.image_folders import natural
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.inference.predict import predict_images
from mnist_zoo.runs import read_metrics, read_predictions
from mnist_zoo.training.run import run

GREY, COLOUR = (6, 8), (6, 8, 3)  # height x width (x channels)


def picture(shape: tuple[int, ...], value: int = 0) -> np.ndarray:
    """Return noise uint8 of a shape whose first pixel is `value`."""
    pixels = np.random.default_rng(value).integers(0, 256, shape, dtype=np.uint8)
    pixels[0, 0] = value % 256
    return pixels


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_classes(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 7, shape=GREY) -> Path:
    """Write `count` PNG files for each class and return the folder."""
    for label, name in enumerate(classes):
        for number in range(count):
            write(root / name / f"{number}.png", picture(shape, 20 * label + number))
    return root


class TestFolder:
    def test_a_folder_for_each_class_gives_images_with_a_stratified_seventh_for_testing(self, tmp_path):
        data = load("folder", write_classes(tmp_path, count=14), {})
        assert data.class_names == ("cat", "dog") and data.train_images.shape == (24, 1, *GREY)
        assert np.bincount(data.test_labels).tolist() == [2, 2]
        everything = np.concatenate([data.train_images, data.test_images])[:, 0]
        first_pixels = {(int(label), int(image[0, 0])) for label, image in zip(
            np.concatenate([data.train_labels, data.test_labels]), everything, strict=True
        )}  # fmt: skip
        assert first_pixels == {(label, 20 * label + number) for label in range(2) for number in range(14)}

    def test_train_and_test_folders_are_used_as_they_are(self, tmp_path):
        write_classes(tmp_path / "train", count=3)
        write_classes(tmp_path / "test", count=2)
        data = load("folder", tmp_path, {})
        assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test_labels.tolist() == [0, 0, 1, 1]
        assert data.test_images[:, 0, 0, 0].tolist() == [0, 1, 20, 21]

    def test_classes_and_files_are_in_natural_order(self, tmp_path):
        assert sorted(["10", "9", "a10b", "a9b", "b"], key=natural) == ["9", "10", "a9b", "a10b", "b"]
        assert load("folder", write_classes(tmp_path, ("10", "9", "1")), {}).class_names == ("1", "9", "10")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".PNG"])
    def test_formats(self, tmp_path, suffix):
        for name in ("a", "b"):
            for number in range(4):
                write(tmp_path / name / f"{number}{suffix}", np.full((8, 8), 90, np.uint8))
        images = load("folder", tmp_path, {}).train_images
        assert images.shape == (7, 1, 8, 8) and (abs(images.astype(int) - 90) < 3).all()

    @pytest.mark.parametrize(
        ("change", "channels", "why"),
        [
            (lambda grey: np.stack([grey] * 3, axis=-1), 1, "stored as RGB, and without colours"),
            (lambda grey: np.stack([grey, grey, 255 - grey], axis=-1), 3, "one image with colours makes all RGB"),
            (lambda grey: np.stack([grey, np.full_like(grey, 255)], axis=-1), 1, "an alpha channel without effect"),
        ],
    )
    def test_images_are_grey_unless_one_has_colours(self, tmp_path, change, channels, why):
        grey = picture(GREY, 5)
        for part in ("train", "test"):
            write_classes(tmp_path / part)
        write(tmp_path / "train/cat/0.png", change(grey))
        data = load("folder", tmp_path, {})
        assert data.train_images.shape[1] == channels, why
        assert np.array_equal(data.train_images[0, 0], grey)

    def test_images_of_16_bits_keep_their_brightness(self, tmp_path):
        write_classes(tmp_path / "train")
        write_classes(tmp_path / "test")
        write(tmp_path / "train/cat/0.png", picture(GREY, 3).astype(np.uint16) * 257)
        assert np.array_equal(load("folder", tmp_path, {}).train_images[0, 0], picture(GREY, 3))

    def test_mixed_sizes_are_resized_on_request(self, tmp_path):
        write(write_classes(tmp_path) / "cat/0.png", picture((40, 10)))
        data = load("folder", tmp_path, {"image_size": [12, 5], "channels": 3})
        assert data.train_images.shape == (12, 3, 12, 5)

    def test_mixed_sizes_are_refused_with_both_files(self, tmp_path):
        write(write_classes(tmp_path) / "dog/3.png", picture((40, 10)))
        with pytest.raises(
            InputError, match=r"cat/0\.png is 6x8 .*dog/3\.png is 40x10: choose one with data.image_size=\[6,8\]"
        ):
            load("folder", tmp_path, {})

    def test_an_image_is_turned_upright_as_its_exif_orientation_says(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        write(write_classes(tmp_path) / "cat/0.png", picture(GREY[::-1]), exif=exif)
        assert load("folder", tmp_path, {}).train_images.shape[2:] == GREY

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda root: (root / "bird").mkdir(), "bird contains no images"),
            (lambda root: (root / "cat/x.png").write_bytes(b"GIF89a"), r"x\.png \(not PNG, JPEG, BMP or WebP\)"),
            (lambda root: (root / "cat/x.png").write_bytes((root / "cat/0.png").read_bytes()[:60]), r"x\.png \("),
            (lambda root: os.mkfifo(root / "cat/x.png"), r"x\.png is not a regular file"),
            (lambda root: (root / "cat/x.png").symlink_to("x.png"), r"x\.png is not a regular file"),
            (lambda root: (root / "loop").symlink_to(root), "loop contains the folder cat"),
            (lambda root: write_classes(root / "cat"), "cat contains the folder cat: images must lie directly"),
            (lambda root: write_classes(root / "train"), "contains a folder train but no folder test"),
            (lambda root: (root / "b\x1b[2J").mkdir(), r"the folder 'b\\x1b\[2J' has a name that cannot be printed"),
            (
                lambda root: write(root / "cat/x.png", np.zeros((*GREY, 4), np.uint8)),
                r"x\.png \(it has transparent pixels",
            ),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path, damage, message):
        damage(write_classes(tmp_path))
        with pytest.raises(InputError, match=message):
            load("folder", tmp_path, {})

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"image_size": 28}, r"data.image_size=28: it must be \[height,width\]"),
            ({"image_size": [28, 0]}, r"data.image_size=\[28, 0\]"),
            ({"image_size": [28, "x"]}, r"data.image_size=\[28, 'x'\]"),
            ({"channels": 2}, r"data.channels=2: it must be 1 \(grey\), 3"),
        ],
    )
    def test_an_invalid_option_is_named(self, tmp_path, options, message):
        with pytest.raises(InputError, match=message):
            load("folder", write_classes(tmp_path), options)

    def test_a_missing_root_and_missing_classes_are_named(self, tmp_path):
        with pytest.raises(InputError, match=r"nowhere is not a folder: name .* data.root=DIR"):
            load("folder", tmp_path / "nowhere", {})
        with pytest.raises(InputError, match="contains no folders: one folder for each class"):
            load("folder", tmp_path, {})
        with pytest.raises(InputError, match="class owl is in test only"):
            write_classes(tmp_path / "train")
            load("folder", write_classes(tmp_path / "test", ("cat", "dog", "owl")).parent, {})

    def test_files_that_are_not_read_are_mentioned(self, tmp_path):
        write_classes(tmp_path / "train")
        write_classes(write_classes(tmp_path / "test").parent / "valid")
        (tmp_path / "train/cat/.hidden").write_text("")
        (tmp_path / "train/cat/list.csv").write_text("")
        with pytest.warns(UserWarning) as warned:
            load("folder", tmp_path, {})
        texts = [str(warning.message) for warning in warned]
        assert len(texts) == 2 and "valid beside train and test is not used" in texts[0]
        assert "1 files are not read" in texts[1] and "(for example cat/list.csv)" in texts[1]

    def test_images_that_take_too_much_memory_are_refused_before_they_are_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr("mnist_zoo.data.reading.MAX_BYTES", 100)
        monkeypatch.setattr(image_folders, "_pixels", None)
        with pytest.raises(InputError, match=r"14 images of 1x6x8 take .* choose a smaller data.image_size"):
            load("folder", write_classes(tmp_path), {})

    def test_progress_is_shown_if_reading_takes_long(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(image_folders, "SECONDS", -1.0)
        load("folder", write_classes(tmp_path), {})
        assert f"reading {tmp_path}: 14 of 14 images\n" in capsys.readouterr().err


def arrays(count: int = 20, shape: tuple[int, ...] = (8, 8), names: str = "keras", **replaced) -> dict:
    """Return the arrays of an archive with two classes."""
    images, labels = np.stack([picture(shape, n) for n in range(count)]), np.arange(count) % 2
    keys = ("x_train", "y_train", "x_test", "y_test")
    if names == "medmnist":
        keys = ("train_images", "train_labels", "test_images", "test_labels")
        labels = labels[:, None]
    return dict(zip(keys, (images, labels, images, labels), strict=True)) | replaced


class TestNpz:
    @pytest.mark.parametrize("names", ["keras", "medmnist"])
    @pytest.mark.parametrize(
        ("shape", "expected"),
        [
            ((8, 6), (8, 6)),
            ((8, 6, 3), (3, 8, 6)),
            ((3, 8, 6), (3, 8, 6)),
            ((8, 6, 1), (1, 8, 6)),
            ((3, 6, 3), (3, 3, 6)),
        ],
    )
    def test_layouts(self, tmp_path, names, shape, expected):
        np.savez(tmp_path / "a.npz", **arrays(shape=shape, names=names))
        data = load("npz", tmp_path / "a.npz", {})
        assert data.train_images.shape == (20, *expected) and data.class_names == ("0", "1")
        assert data.test_labels.tolist() == [0, 1] * 10
        pixels = arrays(shape=shape)["x_train"]
        assert np.array_equal(data.train_images, pixels if expected == shape else np.moveaxis(pixels, -1, 1))

    def test_integers_of_other_types_are_converted(self, tmp_path):
        wide = arrays()
        np.savez(tmp_path / "a.npz", **{key: array.astype(np.int64) for key, array in wide.items()})
        assert np.array_equal(load("npz", tmp_path / "a.npz", {}).train_images, wide["x_train"])

    @pytest.mark.parametrize(
        ("replaced", "message"),
        [
            ({"x_train": np.zeros((20, 8, 8))}, r"x_train are float64: store integers 0-255, .*\* 255"),
            ({"x_test": np.full((20, 8, 8), 300)}, "x_test hold values from 300 to 300"),
            ({"x_train": np.zeros((20, 64), np.uint8)}, r"x_train have the shape \(20, 64\)"),
            ({"x_train": np.zeros((20, 8, 8, 4), np.uint8)}, r"x_train have the shape \(20, 8, 8, 4\)"),
            ({"y_train": np.eye(20, 2, dtype=int)}, r"y_train are int64 \(20, 2\): .* one-hot"),
            ({"y_train": np.arange(20) % 2 + 1}, "labels lie between 1 and 2, and none is 0"),
            ({"y_test": np.full(20, 5)}, "test label 5 of image 0 .* is outside 0-1"),
            ({"x_train": np.array([{}] * 20)}, "an array of Python objects could run code"),
            ({"y_train": np.arange(3) % 2}, "train: 20 images and 3 labels"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path, replaced, message):
        np.savez(tmp_path / "a.npz", **arrays(**replaced))
        with pytest.raises(InputError, match=rf"a\.npz.*{message}"):
            load("npz", tmp_path / "a.npz", {})

    @pytest.mark.parametrize("kept", [0, 10, 300, 1500, -30])
    def test_a_truncated_archive_is_named(self, tmp_path, kept):
        np.savez(tmp_path / "a.npz", **arrays())
        (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:kept])
        with pytest.raises(InputError, match=r"a\.npz"):
            load("npz", tmp_path / "a.npz", {})

    def test_an_archive_that_claims_too_much_is_not_unpacked(self, tmp_path, monkeypatch):
        monkeypatch.setattr("mnist_zoo.data.npz_files.MAX_BYTES", 1000)
        np.savez_compressed(tmp_path / "a.npz", **arrays())
        with pytest.raises(InputError, match=r"a\.npz takes more than"):
            load("npz", tmp_path / "a.npz", {})

    def test_a_header_that_claims_too_much_is_named(self, tmp_path):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (10**15, 28, 28)}
        )
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            for name in arrays():
                archive.writestr(f"{name}.npy", header.getvalue())
        with pytest.raises(InputError, match=r"a\.npz cannot be read"):
            load("npz", tmp_path / "a.npz", {})

    def test_the_validation_images_of_medmnist_are_mentioned(self, tmp_path):
        np.savez(tmp_path / "a.npz", **arrays(names="medmnist"), val_images=np.zeros((2, 8, 8), np.uint8))
        with pytest.warns(UserWarning, match="val_images are not used"):
            load("npz", tmp_path / "a.npz", {})

    def test_other_arrays_are_listed(self, tmp_path):
        np.savez(tmp_path / "a.npz", images=np.zeros(3))
        with pytest.raises(InputError, match="has the arrays images: expected are x_train, y_train"):
            load("npz", tmp_path / "a.npz", {})


def write_cifar10(root: Path, count: int = 20, protocol: int = 2) -> np.ndarray:
    """Write the six files of CIFAR-10 with keys of bytes, as Python 2 wrote them; return the images of all."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (6 * count, 3072), dtype=np.uint8)
    for number, name in enumerate((*TRAIN, TEST)):
        batch = {b"data": images[number * count :][:count], b"labels": [n % 10 for n in range(count)]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    return images.reshape(-1, 3, 32, 32)


class TestCifar10:
    def test_files_that_python_2_wrote_are_read(self, tmp_path):
        """The published files are such; Python 3 cannot write them."""
        images = write_cifar10(tmp_path)
        dtype = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        state = b"(K\x01J\x14\0\0\0M\x00\x0c\x86" + dtype + b"\x89"
        content = images[100:].tobytes()
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R" + state
        array += b"T" + len(content).to_bytes(4, "little") + content + b"tb"
        labels = b"](" + b"".join(bytes([ord("K"), n % 10]) for n in range(20)) + b"e"
        batch = b"\x80\x02}(U\x04data" + array + b"U\x06labels" + labels + b"u."
        (tmp_path / "cifar-10-batches-py" / TEST).write_bytes(batch)
        data = load("cifar10", tmp_path, {})
        assert np.array_equal(data.test_images, images[100:]) and data.test_labels.tolist() == [*range(10)] * 2

    @pytest.mark.parametrize("protocol", [2, 4])
    def test_files_on_disk_are_read(self, tmp_path, protocol):
        images = write_cifar10(tmp_path, protocol=protocol)
        data = load("cifar10", tmp_path, {})
        assert np.array_equal(data.train_images, images[:100]) and np.array_equal(data.test_images, images[100:])
        assert data.test_labels.tolist() == [*range(10)] * 2 and data.class_names[3] == "cat"

    def test_code_in_a_file_is_refused_and_not_run(self, tmp_path):
        class Attack:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "attacked"),)

        write_cifar10(tmp_path)
        (tmp_path / "cifar-10-batches-py" / TEST).write_bytes(pickle.dumps(Attack(), 2))
        with pytest.raises(InputError, match=r"test_batch asks to run posix.mkdir: refused"):
            load("cifar10", tmp_path, {})
        assert not (tmp_path / "attacked").exists()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"<html>",
            pickle.dumps([1]),
            pickle.dumps({b"data": b"x", b"labels": []}),
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 11]}, 2),
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, 2),
            pickle.dumps({b"data": np.zeros((2, 3072), np.int8), b"labels": [0, 1]}, 2),
            pickle.dumps({b"data": np.zeros((0, 3072), np.uint8), b"labels": []}),
            pickle.dumps({b"data": np.zeros((2, 3072), object), b"labels": [0, 1]}, 2),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, content):
        write_cifar10(tmp_path)
        (tmp_path / "cifar-10-batches-py" / TEST).write_bytes(content)
        with pytest.raises(InputError, match=r"test_batch is damaged or not a file of CIFAR-10 .*delete it"):
            load("cifar10", tmp_path, {})


class TestShapes:
    """Channels, size and classes follow from the data."""

    @pytest.fixture
    def shaped(self, monkeypatch):
        def module(*shape: int, classes: int = 3, **options) -> MNISTDataModule:
            @register_dataset("shaped")
            def images(root):
                pixels = np.stack([picture(shape, n % 256) for n in range(4 * classes)])
                labels = np.arange(4 * classes) % classes
                return ImageSet(pixels, labels, pixels[:classes], labels[:classes], tuple(map(str, range(classes))))

            return MNISTDataModule("shaped", val_size=classes, **options)

        monkeypatch.setattr("mnist_zoo.data.sources._SOURCES", {})
        return module

    @pytest.mark.parametrize("name", [n for n in list_models() if not n.startswith("simple_")])
    def test_every_network_trains_on_colour_images_of_another_size(self, shaped, tmp_path, name):
        data = shaped(3, 36, 36, augment="thesis", filters={"blur": 1, "sharpen": True}, batch_size=9)
        model = LitClassifier(name, num_classes=data.num_classes, image_shape=data.image_shape)
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model, datamodule=data)
        assert model.hparams["in_chans"] == 3 and model.hparams["model"].get("image_size", 36) == 36

    @pytest.mark.parametrize(
        ("model", "shape", "message"),
        [
            ("cnn", (1, 4, 30), "a 4x30 image has no pixels left after the stages"),
            (
                {"name": "cnn", "image_size": [30, 20]},
                (1, 20, 30),
                r"model.image_size=\[30, 20\], and the images are 20x30",
            ),
            ("lenet5", (1, 28, 11), "a 28x11 image has no pixels left in LeNet-5"),
            ({"name": "cnn", "image_size": 28}, (1, 32, 32), "model.image_size=28, and the images are 32x32: leave it"),
            ("simple_m3", (1, 16, 16), "a 16x16 image has no pixels left after 10 valid convolutions"),
            ("lenet5", (3, 8, 8), "a 8x8 image has no pixels left in LeNet-5: use image_size=12 or more"),
        ],
    )
    def test_a_network_that_cannot_take_the_images_says_so(self, model, shape, message):
        with pytest.raises(InputError, match=message):
            LitClassifier(model, image_shape=shape)

    @pytest.mark.parametrize("name", ["resnet18", "googlenet"])
    def test_networks_without_a_fixed_size_take_images_that_are_not_square(self, name):
        assert LitClassifier(name, image_shape=(1, 20, 30)).hparams["model"] == {"name": name}

    @pytest.mark.parametrize("name", ["cnn", "cnn_strided", "deep_cnn", "lenet5", "mlp"])
    def test_networks_follow_images_that_are_not_square(self, name):
        model = LitClassifier(name, image_shape=(1, 20, 30))
        assert model.hparams["model"]["image_size"] == [20, 30] and model(torch.zeros(2, 1, 20, 30)).shape == (2, 10)
        with pytest.raises(InputError, match="built for 20x30 images and got 30x20"):
            model(torch.zeros(2, 1, 30, 20))

    def test_an_image_size_of_none_is_that_of_the_images_or_the_default(self):
        unset = {"name": "mlp", "image_size": None}
        assert LitClassifier(unset, image_shape=(1, 28, 28)).hparams["model"] == {"name": "mlp", "image_size": 28}
        assert LitClassifier(unset).hparams["model"] == {"name": "mlp"}

    def test_a_run_on_a_folder_of_images_is_predicted_with_its_shape_and_classes(self, config, tmp_path):
        root = write_classes(tmp_path / "images", tuple(f"class {n}" for n in range(17)), count=8, shape=(20, 20, 3))
        cfg = config(
            "data=folder", f"data.root={root}", "model=mlp", "epochs=1", "trainer=cpu", "progress=none", "logger=none",
            "data.val_size=17",
        )  # fmt: skip
        run(cfg, tmp_path / "run")
        metrics = read_metrics(tmp_path / "run")
        assert metrics["model_options"]["image_size"] == 20 and metrics["n_test"] == 19
        [seen] = predict_images(tmp_path / "run", [root / "class 3/0.png"], raw=True)
        assert seen.error is None and list(seen.probabilities) == [f"class {n}" for n in range(17)]
        with pytest.warns(UserWarning, match="was tested 1 time already"):
            run(cfg | {"epochs": 2}, tmp_path / "run", resume=True)
        assert read_metrics(tmp_path / "run")["epochs_run"] == 2

    def test_labels_above_255_are_stored_and_read(self, stripes_config, shaped, tmp_path):
        shaped(4, 4, classes=300)
        run(stripes_config("data.name=shaped", "data.val_size=300", "epochs=1"), tmp_path / "run")
        arrays = read_predictions(tmp_path / "run")
        assert arrays["labels"].tolist() == list(range(300)) and arrays["logits"].shape == (300, 300)
