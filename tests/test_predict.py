"""Predicting people's own images: digitised as MNIST was, whatever they look like, and nothing lost on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_zoo import predict_images
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.inference.digitise import digitise
from mnist_zoo.inference.images import find_images
from mnist_zoo.predict import main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 200 real digits (of MNIST's training set: what is tested here is their treatment, not the network)."""
    data = load("mnist5k", Path("unused"), {})
    order = np.random.default_rng(0).permutation(len(data.test_labels))[:200]  # they come sorted by class
    return data.test_images[order], data.test_labels[order]


def as_people_have_them(digit: np.ndarray, *, side: int, ink, paper, mode: str = "RGB", at=(30, 10)) -> Image.Image:
    """Return a digit enlarged, in colours, somewhere on a larger sheet."""
    mask = Image.new("L", (side * 2, side + 40))
    mask.paste(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), at)
    return Image.composite(Image.new("RGB", mask.size, ink), Image.new("RGB", mask.size, paper), mask).convert(mode)


def test_digitising_a_digit_of_mnist_gives_the_same_digit(digits):
    differences = [np.abs(digitise(Image.fromarray(d)).astype(int) - d).mean() for d in digits[0]]
    assert np.mean(differences) < 0.5  # of 255: faint edges alone
    assert np.mean(np.array(differences) == 0) > 0.6


@pytest.mark.parametrize(
    ("ink", "paper", "side", "mode", "why"),
    [
        ("black", "white", 28, "L", "dark on light"),
        ("white", "black", 150, "L", "light on dark, large"),
        ("#a01030", "#f0ead0", 90, "RGB", "red on cream"),
        ("#30a030", "#a05050", 90, "RGB", "green on red of nearly the same brightness"),
        ("yellow", "navy", 64, "P", "a palette"),
        ("#606060", "#909090", 64, "RGB", "low contrast"),
        ("black", "white", 64, "1", "black and white without greys"),
        ("white", "black", 700, "L", "larger than what is worked on"),
    ],
)
def test_colour_size_and_place_do_not_matter(digits, ink, paper, side, mode, why):
    images, labels = digits[0][:60], digits[1][:60]
    pictures = [as_people_have_them(image, side=side, ink=ink, paper=paper, mode=mode) for image in images]
    right = [p.label == str(label) for p, label in zip(predict_images("cnn", pictures), labels, strict=True)]
    assert np.mean(right) >= 0.95, why


def test_ink_on_a_transparent_ground_is_found_dark_or_light(digits):
    for ink in (0, 255):
        layers = [np.full_like(digits[0][3], ink)] * 3 + [digits[0][3]]
        picture = Image.fromarray(np.stack(layers, -1))
        assert np.abs(digitise(picture).astype(int) - digits[0][3]).mean() < 1


def test_sixteen_bit_images_are_read_over_their_whole_range(digits):
    picture = Image.fromarray(digits[0][0].astype(np.uint16) * 200)
    assert np.abs(digitise(picture).astype(int) - digits[0][0]).mean() < 1


def test_noise_and_uneven_light_are_no_ink(digits):
    rng = np.random.default_rng(0)
    images, labels = digits[0][:60], digits[1][:60]
    photos = []
    for image in images:
        sheet = np.asarray(as_people_have_them(image, side=120, ink="#202040", paper="#e8e8e0"), dtype=float)
        sheet = sheet * np.linspace(0.8, 1, sheet.shape[1])[None, :, None] + rng.normal(0, 6, sheet.shape)
        photos.append(sheet.clip(0, 255).astype(np.uint8))
    right = [p.label == str(label) for p, label in zip(predict_images("cnn", photos), labels, strict=True)]
    assert np.mean(right) >= 0.9


def test_the_digit_lies_in_a_20x20_box_centred_by_mass():
    paper = np.full((50, 400), 255, np.uint8)
    paper[10:40, 300:304] = 0  # a stroke far off the middle
    field = digitise(Image.fromarray(paper)).astype(float)
    rows, columns = np.flatnonzero(field.max(1)), np.flatnonzero(field.max(0))
    assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 == 3  # 30x4 keeps its shape: 20x2.7
    assert (field.sum(1) @ np.arange(28)) / field.sum() == pytest.approx(14, abs=0.5)


def test_raw_takes_the_pixels_as_they_are_and_refuses_another_size(digits):
    blank = np.zeros((28, 28), np.uint8)
    seen, wrong = predict_images("cnn", [blank, np.zeros((30, 28), np.uint8)], raw=True)
    assert seen.error is None and np.array_equal(seen.pixels[0], blank)
    assert wrong.error == "is 28x30 pixels, and the network takes 28x28 (--raw does not resize)"


def test_a_prediction_says_everything_about_one_image(digits):
    [one] = predict_images("cnn", [digits[0][0]], raw=True)
    assert one.image == "image 0" and one.label == str(digits[1][0])
    assert list(one.probabilities) == list("0123456789")
    assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert one.top()[0] == (one.label, one.probability) and len(one.top()) == 3


def test_batches_do_not_change_predictions(digits, monkeypatch):
    whole = predict_images("cnn", digits[0][:20], raw=True)
    monkeypatch.setattr("mnist_zoo.inference.predict.BATCH_SIZE", 7)
    parts = predict_images("cnn", digits[0][:20], raw=True)
    assert [p.label for p in whole] == [p.label for p in parts]
    assert [p.probability for p in whole] == pytest.approx([p.probability for p in parts], abs=1e-5)


# -- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, digits, monkeypatch) -> Path:
    """Return the current folder: five digits in the promised formats, one broken image and one empty one."""
    for name, digit in zip(("a.png", "b.jpg", "c.webp", "in/d.bmp", "in/e.PNG"), digits[0], strict=False):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        as_people_have_them(digit, side=60, ink="navy", paper="white").save(file)
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    Image.new("RGB", (20, 20), "pink").save(tmp_path / "blank.png")
    (tmp_path / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_and_globs_are_images_at_any_depth(folder):
    assert find_images(["."]) == ["a.png", "b.jpg", "blank.png", "broken.png", "c.webp", "in/d.bmp", "in/e.PNG"]
    assert find_images(["in", "*.webp"]) == ["in/d.bmp", "in/e.PNG", "c.webp"]
    assert find_images(["nowhere.png"]) == ["nowhere.png"]  # named where it fails, the others go on
    with pytest.raises(InputError, match="no file matches"):
        find_images(["*.tiff"])


def test_unreadable_images_are_named_and_the_others_predicted(folder, digits):
    line = [sys.executable, "-m", "mnist_zoo.predict", "cnn", ".", "nowhere.png"]
    line += ["--csv", "out.csv", "--json", "out.json", "--show", "seen.png"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert [text.split()[1] for text in errors] == ["blank.png", "broken.png", "nowhere.png"]
    assert "is blank" in errors[0] and "truncated" in errors[1] and "no such file" in errors[2]
    assert "Traceback" not in done.stderr

    rows = {row["image"]: row for row in csv.DictReader(io.StringIO((folder / "out.csv").read_text()))}
    files = ["a.png", "b.jpg", "c.webp", "in/d.bmp", "in/e.PNG"]
    assert [rows[file]["label"] for file in files] == [str(label) for label in digits[1][:5]]
    assert rows["blank.png"]["label"] == "" and rows["blank.png"]["error"].startswith("is blank")
    assert float(rows["a.png"]["probability"]) == max(float(rows["a.png"][f"p_{digit}"]) for digit in range(10))
    listed = json.loads((folder / "out.json").read_text())
    assert [entry["image"] for entry in listed] == list(rows)
    with Image.open(folder / "seen.png") as sheet:
        assert sheet.size == (8 + 5 * 92, 8 + 108)  # five tiles, of those that were read
    table = {text.split()[0]: text.split()[1] for text in done.stdout.splitlines()[1:]}
    assert table["in/d.bmp"] == str(digits[1][3]) and table["broken.png"] == "could"


def test_a_dash_writes_to_the_terminal_and_nothing_else_does(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["cnn", "a.png", "b.jpg", "--csv", "-"])
    assert end.value.code == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [len(row) for row in rows] == [14, 14, 14] and rows[0][0] == "image"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet18", "a.png"], "'resnet18' is not a run folder, a file, or a name with shipped weights (cnn, "),
        (["cnn", "nothing*.png"], "nothing*.png: no file matches"),
        (["in", "a.png"], "in is not a run folder with a trained network"),
        (["a.png", "a.png"], "a.png is not a checkpoint, or asks to run code"),
        (["cnn", "a.png", "--csv", "nowhere/out.csv"], "cannot write nowhere/out.csv: there is no folder nowhere"),
        (["cnn", "a.png", "--show", "seen.jpg"], "the picture is a PNG"),
        (["cnn", "a.png", "--csv", "-", "--json", "-"], "cannot both write to the terminal"),
        (["cnn", "a.png", "--plugin", "no_such_module"], "cannot import 'no_such_module'"),
    ],
)
def test_bad_requests_end_in_one_line(folder, capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
