"""Using trained networks: images are digitised like MNIST and predicted, and exported networks give the same logits."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_zoo import create_model, export_model, predict_images
from mnist_zoo import export as export_command
from mnist_zoo import predict as predict_command
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.inference.digitise import digitise
from mnist_zoo.inference.export import _FORMATS, ExportError
from mnist_zoo.inference.images import find_images, open_image
from mnist_zoo.inference.output import table
from mnist_zoo.inference.predict import Prediction
from mnist_zoo.weights import Description, pack, read_weights

ROOT = Path(__file__).parents[1]
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 200 real digits with their labels, in random order.

    They are part of MNIST's training set. Here it does not matter: the conversion is tested, not the network.
    """
    data = load("mnist5k", Path("unused"), {})
    order = np.random.default_rng(0).permutation(len(data.test_labels))[:200]
    return data.test_images[order], data.test_labels[order]


def on_paper(digit: np.ndarray, *, side: int, ink, paper, mode: str = "RGB") -> Image.Image:
    """Return a digit enlarged to `side` pixels, in colours, away from the middle of a larger sheet."""
    mask = Image.new("L", (side * 2, side + 40))
    mask.paste(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), (30, 10))
    return Image.composite(Image.new("RGB", mask.size, ink), Image.new("RGB", mask.size, paper), mask).convert(mode)


def share_correct(images: list, labels: np.ndarray) -> float:
    """Return the share of images for which the network `cnn` predicts the label."""
    predictions = predict_images("cnn", images)
    return float(np.mean([p.label == str(label) for p, label in zip(predictions, labels, strict=True)]))


def one_line_error(capsys, main: Callable, arguments: list[str]) -> str:
    """Return the line that a failing command prints, without ``error: ``."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    return err.removeprefix("error: ")


class TestDigitise:
    def test_a_digit_of_mnist_stays_the_same(self, digits):
        differences = [np.abs(digitise(Image.fromarray(d)).astype(int) - d).mean() for d in digits[0]]
        assert np.mean(differences) < 0.5, "of 255: only faint edges change"
        assert np.mean(np.array(differences) == 0) > 0.6

    @pytest.mark.parametrize(
        ("ink", "paper", "side", "mode", "why"),
        [
            ("black", "white", 28, "L", "dark on light"),
            ("white", "black", 150, "L", "light on dark, enlarged"),
            ("#a01030", "#f0ead0", 90, "RGB", "red on cream"),
            ("#30a030", "#a05050", 90, "RGB", "green on red of nearly the same brightness"),
            ("yellow", "navy", 64, "P", "an image with a palette"),
            ("#606060", "#909090", 64, "RGB", "low contrast"),
            ("black", "white", 64, "1", "black and white without grey"),
            ("white", "black", 700, "L", "larger than the size that images are reduced to"),
        ],
    )
    def test_colour_size_and_place_do_not_matter(self, digits, ink, paper, side, mode, why):
        pictures = [on_paper(digit, side=side, ink=ink, paper=paper, mode=mode) for digit in digits[0][:60]]
        assert share_correct(pictures, digits[1][:60]) >= 0.95, why

    def test_noise_and_uneven_light_are_not_ink(self, digits):
        rng = np.random.default_rng(0)
        photos = []
        for digit in digits[0][:60]:
            sheet = np.asarray(on_paper(digit, side=120, ink="#202040", paper="#e8e8e0"), dtype=float)
            sheet = sheet * np.linspace(0.8, 1, sheet.shape[1])[None, :, None] + rng.normal(0, 6, sheet.shape)
            photos.append(sheet.clip(0, 255).astype(np.uint8))
        assert share_correct(photos, digits[1][:60]) >= 0.9

    @pytest.mark.parametrize(("ink", "why"), [(0, "dark ink becomes white paper"), (255, "light ink, black paper")])
    def test_ink_on_a_transparent_background_is_found(self, digits, ink, why):
        digit = digits[0][3]
        picture = Image.fromarray(np.stack([*[np.full_like(digit, ink)] * 3, digit], -1))
        assert np.abs(digitise(picture).astype(int) - digit).mean() < 1, why

    def test_16_bit_images_are_scaled_to_their_own_range(self, digits):
        picture = Image.fromarray(digits[0][0].astype(np.uint16) * 200)
        assert np.abs(digitise(picture).astype(int) - digits[0][0]).mean() < 1

    def test_the_digit_fits_a_20x20_box_and_is_centred_by_mass(self):
        paper = np.full((50, 400), 255, np.uint8)
        paper[10:40, 300:304] = 0  # a stroke of 30x4 pixels, far from the middle
        field = digitise(Image.fromarray(paper)).astype(float)
        rows, columns = np.flatnonzero(field.max(1)), np.flatnonzero(field.max(0))
        assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 == 3, "the aspect ratio stays: 20x2.7"
        assert (field.sum(1) @ np.arange(28)) / field.sum() == pytest.approx(14, abs=0.5)

    MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")

    @given(
        mode=st.sampled_from(MODES),
        margins=st.tuples(*[st.integers(1, 80)] * 4),
        box=st.tuples(st.integers(1, 200), st.integers(1, 200)),
        dark=st.booleans(),
    )
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_any_image_with_ink_becomes_28x28(self, mode, margins, box, dark):
        left, right, top, bottom = margins
        colours = ("black", "white") if dark else ("white", "black")
        image = Image.new("L", (left + box[0] + right, top + box[1] + bottom), colours[1])
        image.paste(colours[0], (left, top, left + box[0], top + box[1]))
        if mode == "I;16":
            image = image.convert("I")
        elif mode == "HSV":
            image = image.convert("RGB")
        digit = digitise(image.convert(mode))
        assert digit.dtype == np.uint8 and digit.shape == (28, 28) and digit.max() == 255
        for axis, (low, high) in enumerate(np.flatnonzero(digit.any(1 - axis))[[0, -1]] for axis in (0, 1)):
            centre = np.average(np.arange(28), weights=digit.sum(1 - axis, dtype=int))
            assert abs(centre - 14) <= 0.5 or low == 0 or high == 27

    @given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]))
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_any_pixels_give_a_digit_or_an_input_error(self, data, height, width, channels):
        seed, spread = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 255))
        pixels = np.random.default_rng(seed).integers(0, spread, (height, width, channels), dtype=np.uint8)
        try:
            digit = digitise(Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels))
        except InputError as error:
            assert "is blank" in str(error)
        else:
            assert digit.dtype == np.uint8 and digit.shape == (28, 28) and digit.max() == 255

    @given(
        mode=st.sampled_from(("1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "F", "I;16")),
        size=st.tuples(st.integers(1, 3000), st.integers(1, 60)),
        value=st.integers(0, 255),
    )
    @settings(max_examples=25, deadline=None, derandomize=True)
    def test_a_blank_image_of_any_mode_is_refused(self, mode, size, value):
        bands = len(Image.new(mode, (1, 1)).getbands())
        with pytest.raises(InputError, match="is blank: no pixel differs enough"):
            digitise(Image.new(mode, size, value if bands == 1 else (value,) * bands))

    @pytest.mark.parametrize(
        ("image", "message", "why"),
        [
            (Image.new("L", (0, 5)), "has no pixels", "an empty image"),
            (Image.fromarray(np.full((9, 9), np.nan, np.float32)), "NaN or infinite", "floats that are not numbers"),
            (Image.new("La", (9, 9)), "mode La, which cannot be converted", "a mode that Pillow cannot convert"),
        ],
    )
    def test_an_image_that_cannot_be_converted_is_refused(self, image, message, why):
        with pytest.raises(InputError, match=message):
            digitise(image)

    def test_two_single_pixels_far_apart_are_ink(self):
        sheet = np.zeros((900, 900), np.uint8)
        sheet[5, 5] = sheet[890, 890] = 255  # averaged over 45x45 pixels: less than 1 of 255
        assert digitise(Image.fromarray(sheet)).max() == 255


class TestPredictImages:
    def test_a_prediction_has_label_probabilities_and_input(self, digits):
        [one] = predict_images("cnn", [digits[0][0]], raw=True)
        assert one.image == "image 0" and one.label == str(digits[1][0]) and one.error is None
        assert list(one.probabilities) == list(CLASSES)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert one.top()[0] == (one.label, one.probability) and len(one.top()) == 3
        assert np.array_equal(one.pixels[0], digits[0][0])

    def test_raw_does_not_convert_images_and_refuses_another_size(self):
        blank = np.zeros((28, 28), np.uint8)
        seen, wrong = predict_images("cnn", [blank, np.zeros((30, 28), np.uint8)], raw=True)
        assert seen.error is None and np.array_equal(seen.pixels[0], blank)
        assert wrong.error == "is 28x30 pixels, and the network takes 28x28 (--raw does not resize)"
        assert wrong.label is None and wrong.pixels is None

    def test_the_batch_size_does_not_change_predictions(self, digits, monkeypatch):
        images = [*digits[0][:10], np.zeros((9, 9), np.uint8), *digits[0][10:20]]  # an unreadable one in the middle
        whole = predict_images("cnn", images, raw=True)
        monkeypatch.setattr("mnist_zoo.inference.predict.BATCH_SIZE", 7)
        parts = predict_images("cnn", images, raw=True)
        assert [(p.image, p.label, p.error) for p in whole] == [(p.image, p.label, p.error) for p in parts]
        assert [p.probability for p in whole] == pytest.approx([p.probability for p in parts], abs=1e-5)

    def test_a_photo_is_turned_as_its_camera_noted(self, tmp_path):
        picture = Image.new("L", (20, 10))
        exif = picture.getexif()
        exif[0x0112] = 6  # Orientation: rotate by 90 degrees
        picture.save(tmp_path / "photo.jpg", exif=exif)
        assert open_image(tmp_path / "photo.jpg").size == (10, 20)

    def test_a_network_without_normalisation_statistics_is_refused(self, tmp_path):
        known = Description({"name": "mlp"}, 10, 1, (1, 28, 28), None, None, None, CLASSES, {})
        (tmp_path / "m.safetensors").write_bytes(pack(create_model("mlp").state_dict(), known))
        with pytest.raises(InputError, match="does not say how its training images were normalised"):
            predict_images(tmp_path / "m.safetensors", [])


class TestPredictCommand:
    @pytest.fixture
    def folder(self, tmp_path, digits, monkeypatch) -> Path:
        """Return the current folder: five digits in all documented formats, a damaged image and a blank one."""
        for name, digit in zip(("a.png", "b.jpg", "c.webp", "in/d.bmp", "in/e.PNG"), digits[0], strict=False):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            on_paper(digit, side=60, ink="navy", paper="white").save(file)
        (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
        Image.new("RGB", (20, 20), "pink").save(tmp_path / "blank.png")
        (tmp_path / "notes.txt").write_text("not an image")
        (tmp_path / "none").mkdir()
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @pytest.mark.parametrize(
        ("arguments", "files", "why"),
        [
            (["."], "a.png b.jpg blank.png broken.png c.webp in/d.bmp in/e.PNG", "a folder, at any depth"),
            (["in", "*.webp"], "in/d.bmp in/e.PNG c.webp", "a folder and a pattern, in the given order"),
            (["**/*.bmp"], "in/d.bmp", "a pattern over folders"),
            (["nowhere.png"], "nowhere.png", "a missing file is reported with its prediction"),
        ],
    )
    def test_arguments_name_files_folders_and_patterns(self, folder, arguments, files, why):
        assert find_images(arguments) == files.split(), why

    def test_unreadable_images_are_named_and_the_others_predicted(self, folder, digits):
        line = [sys.executable, "-m", "mnist_zoo.predict", "cnn", ".", "nowhere.png"]
        line += ["--csv", "out.csv", "--json", "out.json", "--show", "seen.png"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        assert [text.split()[1] for text in errors] == ["blank.png", "broken.png", "nowhere.png"]
        assert "is blank" in errors[0] and "truncated" in errors[1] and "no such file" in errors[2]

        rows = {row["image"]: row for row in csv.DictReader(io.StringIO((folder / "out.csv").read_text()))}
        files = ["a.png", "b.jpg", "c.webp", "in/d.bmp", "in/e.PNG"]
        assert [rows[file]["label"] for file in files] == [str(label) for label in digits[1][:5]]
        assert rows["blank.png"]["label"] == "" and rows["blank.png"]["error"].startswith("is blank")
        assert float(rows["a.png"]["probability"]) == max(float(rows["a.png"][f"p_{digit}"]) for digit in CLASSES)
        assert [entry["image"] for entry in json.loads((folder / "out.json").read_text())] == list(rows)
        with Image.open(folder / "seen.png") as sheet:
            assert sheet.size == (8 + 5 * 92, 8 + 108), "five tiles, of the images that were read"
        table = {text.split()[0]: text.split()[1] for text in done.stdout.splitlines()[1:]}
        assert table["in/d.bmp"] == str(digits[1][3]) and table["broken.png"] == "could"

    def test_a_dash_writes_only_the_csv_to_the_terminal(self, folder, capsys):
        with pytest.raises(SystemExit) as end:
            predict_command.main(["cnn", "a.png", "b.jpg", "--csv", "-"])
        assert end.value.code == 0
        rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
        assert [len(row) for row in rows] == [15, 15, 15] and rows[0][0] == "image"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["resnet18", "a.png"], "'resnet18' is not a run folder, a file, or a name with shipped weights (cnn, "),
            (["cnn", "nothing*.png"], "nothing*.png: no file matches this pattern"),
            (["cnn", "none"], "none: no images in this folder (.png .jpg .jpeg .webp .bmp)"),
            (["in", "a.png"], "in is not a run folder with a trained network"),
            (["a.png", "a.png"], "a.png is damaged or not a checkpoint (File is not a zip file)"),
            (["cnn", "a.png", "--csv", "nowhere/out.csv"], "cannot write nowhere/out.csv: there is no folder nowhere"),
            (["cnn", "a.png", "--show", "seen.jpg"], "--show seen.jpg: the picture is a PNG"),
            (["cnn", "a.png", "--csv", "-", "--json", "-"], "cannot both write to the terminal"),
            (["cnn", "a.png", "--plugin", "no_such_module"], "cannot import 'no_such_module'"),
        ],
    )
    def test_an_invalid_request_ends_in_one_line(self, folder, capsys, arguments, message):
        assert message in one_line_error(capsys, predict_command.main, arguments)


class TestExport:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch) -> None:
        self.onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)

    @pytest.fixture
    def images(self) -> torch.Tensor:
        """Return uint8 images, more than the export was traced with."""
        return torch.randint(256, (5, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    def normalised(self, images: torch.Tensor, name: str = "lenet5") -> torch.Tensor:
        known = read_weights(name).description
        return (images / 255 - known.mean) / known.std

    def expected(self, images: torch.Tensor, name: str = "lenet5") -> np.ndarray:
        """Return the logits of shipped weights, computed without the export's code."""
        with torch.inference_mode():
            return create_model(name, pretrained="mnist").eval()(self.normalised(images, name)).numpy()

    def test_onnx_with_normalisation_takes_pixels_in_batches_of_any_size(self, images):
        exported = export_model("lenet5", with_normalize=True)
        assert exported.path == Path("lenet5-mnist.onnx") and exported.bytes == exported.path.stat().st_size
        assert exported.difference < 1e-4 and exported.milliseconds > 0 and exported.torch_milliseconds > 0
        session = self.onnxruntime.InferenceSession(exported.path)
        inputs = [(i.name, i.type, i.shape) for i in session.get_inputs()]
        assert inputs == [("images", "tensor(uint8)", ["batch", 1, 28, 28])]
        for count in (1, 5):
            logits = session.run(["logits"], {"images": images[:count].numpy()})[0]
            assert np.allclose(logits, self.expected(images[:count]), atol=1e-4)
        assert [path.name for path in Path().iterdir()] == ["lenet5-mnist.onnx"], "weights are inside the file"

    @pytest.mark.slow
    def test_onnx_without_normalisation_takes_normalised_images(self, images):
        exported = export_model("mlp", "other.onnx")
        session = self.onnxruntime.InferenceSession(exported.path)
        logits = session.run(None, {"images": self.normalised(images, "mlp").numpy()})[0]
        assert np.allclose(logits, self.expected(images, "mlp"), atol=1e-4)

    def test_torch_export_writes_a_program(self, images):
        exported = export_model("lenet5", format="torch_export", with_normalize=True)
        assert exported.path == Path("lenet5-mnist.pt2")
        assert np.allclose(torch.export.load(exported.path).module()(images).numpy(), self.expected(images), atol=1e-4)

    def test_safetensors_are_weights_for_create_model(self, images):
        exported = export_model("lenet5", format="safetensors")
        assert read_weights(exported.path).description == read_weights("lenet5").description
        model = create_model("lenet5", pretrained=exported.path).eval()
        assert np.array_equal(model(self.normalised(images)).detach().numpy(), self.expected(images))

    @pytest.mark.slow
    def test_a_network_with_batch_norm_and_another_input_shape_is_exported(self):
        options = {"name": "cnn_batchnorm", "image_size": 20}
        known = Description(options, 3, 3, (3, 20, 20), None, 0.5, 0.25, ("a", "b", "c"), {})
        Path("b.safetensors").write_bytes(pack(create_model(**options, num_classes=3, in_chans=3).state_dict(), known))
        exported = export_model("b.safetensors", with_normalize=True)
        assert exported.path.name == "b.onnx" and exported.difference < 1e-4
        assert exported.input == "images Nx3x20x20 uint8 0-255"

    @pytest.mark.parametrize(
        ("wrong", "shown"),
        [(lambda images: 1e-3, r"0\.001"), (lambda images: 0.0 if len(images) < 3 else float("nan"), "nan")],
        ids=["different", "NaN in the last batch"],
    )
    def test_a_network_with_other_logits_is_not_written(self, monkeypatch, wrong, shown):
        monkeypatch.setitem(
            _FORMATS, "onnx", lambda model, example, weights: (b"x", lambda images: model(images) + wrong(images))
        )
        with pytest.raises(ExportError, match=rf"logits differ by {shown}, more than 0\.0001: nothing written"):
            export_model("lenet5")
        assert list(Path().iterdir()) == []

    @pytest.mark.parametrize(
        ("filters", "mean", "message"),
        [({"blur": 2}, 0.1, "filters are not exported"), ({}, None, "does not say how its training images were")],
    )
    def test_preprocessing_that_cannot_be_exported_is_refused(self, filters, mean, message):
        known = Description({"name": "mlp"}, 10, 1, (1, 28, 28), "mnist", mean, 0.3, CLASSES, filters)
        Path("m.safetensors").write_bytes(pack(create_model("mlp").state_dict(), known))
        with pytest.raises(InputError, match=message):
            export_model("m.safetensors", with_normalize=True)

    def test_an_unknown_format_and_missing_packages_are_named(self, monkeypatch):
        with pytest.raises(InputError, match="unknown format 'onxx'; did you mean onnx"):
            export_model("cnn", format="onxx")
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"needs onnx, onnxruntime, onnxscript: pip install '.*onnxscript"):
            export_model("cnn")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["resnet18"], "a name with shipped weights (cnn, cnn_dropout, lenet5, mlp, auto)"),
            (["cnn", "-o", "nowhere/cnn.onnx"], "cannot write nowhere/cnn.onnx: there is no folder nowhere"),
            (["cnn", "--format", "safetensors", "--with-normalize"], "drop with_normalize"),
        ],
    )
    def test_an_invalid_request_ends_in_one_line(self, capsys, arguments, message):
        assert message in one_line_error(capsys, export_command.main, arguments)

    def test_the_command_prints_size_input_difference_and_times(self, capsys):
        export_command.main(["mlp", "--format", "torch_export"])
        first, difference, speed, loading = capsys.readouterr().out.splitlines()
        assert first.startswith("mlp-mnist.pt2: ") and "float32 (brightness - mean) / std" in first
        assert "limit 0.0001" in difference and " ms; in PyTorch " in speed
        assert loading == '  load it: torch.export.load("mlp-mnist.pt2").module()(images)'


def test_an_image_that_is_named_twice_is_not_one_of_two_digits():
    boxes = ((0.1, 0.1, 0.4, 0.9), (0.5, 0.1, 0.9, 0.9))
    first, second = (
        Prediction("a.png", label, 1.0, {label: 1.0}, box=box) for label, box in zip("37", boxes, strict=True)
    )
    assert table([first, second]).splitlines()[-1] == "a.png: 3 7" == table([first, second] * 2).splitlines()[-1]
    assert len(table([first, first]).splitlines()) == 3
    raw = Prediction("a.png", "3", 1.0, {"3": 1.0})
    assert len(table([raw, raw]).splitlines()) == 3


def test_the_line_that_loads_an_export_is_python_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.001)
    path = tmp_path / 'a"b\\n.safetensors'
    loading = export_model("mlp", path, format="safetensors").loading
    (word,) = ast.parse(loading, mode="eval").body.keywords
    assert (word.arg, ast.literal_eval(word.value)) == ("pretrained", str(path))


@pytest.mark.parametrize("command", [predict_command, export_command])
def test_help_is_printed_without_importing_torch(command):
    code = f"import sys, {command.__name__} as c\ntry: c.main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "usage: python -m mnist_zoo." in done.stdout, done.stderr
