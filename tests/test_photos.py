"""Photographs: shadows, ruling and desks are no ink, several digits are read in order, and other things are doubted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from benchmarks import photo_table, photos
from benchmarks.photo_table import count_kind
from mnist_zoo import create_model, predict_images
from mnist_zoo import predict as predict_command
from mnist_zoo.data.sources import load
from mnist_zoo.errors import InputError
from mnist_zoo.inference import rejection
from mnist_zoo.inference.digitise import digitise, find_digits
from mnist_zoo.inference.ink import measure_ink
from mnist_zoo.inference.rejection import NOT_A_DIGIT, find_threshold, threshold_of
from mnist_zoo.runs import read_predictions
from mnist_zoo.weights import FOLDER, pack, read_card, read_weights

OLD_RUN = Path(__file__).parent / "fixtures" / "0.1.0" / "run"
COUNT = 6  # pictures of each kind


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return real digits with their labels; training images of MNIST, so that no test of accuracy is meant."""
    data = load("mnist5k", Path("unused"), {})
    return data.test_images.reshape(-1, 28, 28), data.test_labels


@pytest.fixture(scope="module")
def drawn(digits) -> dict[str, list[photos.Photo]]:
    """Return some pictures of each kind that the benchmark draws."""
    found: dict[str, list[photos.Photo]] = {}
    for photo in photos.draw_photos(*digits, COUNT, seed=3):
        found.setdefault(photo.kind, []).append(photo)
    return found


def paper(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Return white paper with black boxes ``(left, top, right, bottom)``."""
    page = Image.new("L", size, 255)
    for box in boxes:
        page.paste(0, box)
    return page


@pytest.mark.parametrize("kind", [kind for kind in photos.SINGLE if kind != "thin"])
def test_every_kind_of_photograph_is_read(drawn, kind):
    predictions = predict_images("auto", [photo.image for photo in drawn[kind]])
    read = sum(p.label == photo.digits for p, photo in zip(predictions, drawn[kind], strict=True))
    assert read >= COUNT - 1, [p.label for p in predictions]


@pytest.mark.parametrize("kind", ["noise", "empty paper"])
def test_pictures_without_ink_are_refused_or_doubted(drawn, kind):
    predictions = predict_images("auto", [photo.image for photo in drawn[kind]])
    assert sum(bool(p.error or p.warning) for p in predictions) >= COUNT - 1


def test_several_digits_are_read_from_left_to_right(drawn):
    pictures = drawn[photos.SEVERAL]
    found = predict_images("auto", [photo.image for photo in pictures], many=True)
    read = {photo: "" for photo in range(len(pictures))}
    for prediction in found:
        read[int(prediction.image.split()[1])] += prediction.label
    assert sum(read[place] == photo.digits for place, photo in enumerate(pictures)) >= COUNT - 1
    single = predict_images("auto", [photo.image for photo in pictures])
    assert all("things of similar size; --many reads each" in (p.warning or "") for p in single)


@pytest.mark.parametrize(
    ("boxes", "count", "why"),
    [
        ([(10, 10, 20, 60), (60, 10, 70, 60)], 2, "two strokes far apart"),
        ([(10, 10, 40, 20), (14, 26, 30, 60)], 1, "one above the other: a 5 in two parts"),
        ([(10, 10, 30, 60), (31, 20, 50, 60)], 1, "nearly touching"),
        ([(10, 10, 30, 60), (32, 20, 36, 24)], 1, "a small part beside it"),
        ([(10, 10, 30, 60), (100, 70, 102, 72)], 1, "a speck far away is dirt"),
    ],
)
def test_parts_belong_to_one_digit_or_to_several(boxes, count, why):
    found = find_digits(paper(*boxes), many=True)
    assert len(found) == count, why
    assert [digit.box[0] for digit in found] == sorted(digit.box[0] for digit in found)
    assert found[0].box[:2] == (boxes[0][0] / 120, boxes[0][1] / 80), "shares of the picture's sides"
    assert (find_digits(paper(*boxes))[0].warning is None) == (count == 1), why


def test_dirt_does_not_change_the_digit():
    clean, dirty = paper((40, 10, 50, 60)), paper((40, 10, 50, 60), (110, 70, 112, 72))
    assert np.array_equal(digitise(clean), digitise(dirty))


@pytest.mark.parametrize("light", [False, True])
def test_a_hard_shadow_is_not_ink(light):
    page = np.full((90, 90, 3), 230.0)
    page[:, 50:] *= 0.4  # the shadow
    page[20:70, 40:60] *= 0.2  # a thick stroke across its edge
    ink, even = measure_ink(Image.fromarray((255 - page if light else page).astype(np.uint8)))
    assert not even
    assert (ink[25:65, 44:56] > 128).all(), "in the light and in the shadow"
    assert ink[:, :30].max() < 26 and ink[:, 70:].max() < 26


@pytest.mark.parametrize(("slope", "down"), [(0, False), (3, False), (0, True), (-3, True)])
def test_ruling_is_not_ink(slope, down):
    page = paper().convert("RGB")
    draw = ImageDraw.Draw(page)
    for y in range(12, 80, 16):
        draw.line([(y, 0), (y + slope, 80)] if down else [(0, y), (120, y + slope)], fill=(150, 170, 210))
    page.paste((0, 0, 0), (40, 20, 50, 60))
    assert np.abs(digitise(page).astype(int) - digitise(paper((40, 20, 50, 60)))).mean() < 8


@pytest.mark.parametrize(
    ("image", "warning"),
    [
        (paper((10, 10, 20, 60), (60, 10, 70, 60)), "2 things of similar size; --many reads each"),
        (paper((1, 1, 119, 79)), "more than half of the picture is ink"),
        (paper((40, 0, 50, 60)), "touches the edge of the picture"),
        (paper((40, 20, 50, 60)), None),
    ],
)
def test_a_picture_of_something_else_has_a_warning(image, warning):
    [digit] = find_digits(image)
    assert digit.warning == warning if warning is None else warning in (digit.warning or "")


def test_a_picture_of_thousands_of_dots_is_read_at_once():
    dots = np.full((1000, 1000), 255, np.uint8)
    dots[1:-1:3, 1:-1:3] = 0  # 110,556 parts
    dots[400:700, 500:560] = 0
    assert len(find_digits(Image.fromarray(dots), many=True)) == 1


def test_noise_is_no_ink():
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="is blank: no pixel differs enough from the paper around it"):
        measure_ink(Image.fromarray(noise))


def test_a_digit_that_fills_the_picture_is_read_without_a_warning(digits):
    """A scan may be cropped to the digit. Its border is then no paper."""
    crops = []
    for digit in digits[0][::25]:
        rows, columns = np.flatnonzero(digit.max(1) > 60), np.flatnonzero(digit.max(0) > 60)
        crop = 255 - digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        crops.append(Image.fromarray(crop).resize((crop.shape[1] * 3, crop.shape[0] * 3), Image.Resampling.BICUBIC))
    predictions = predict_images("cnn", crops)
    right = [p.label == str(label) for p, label in zip(predictions, digits[1][::25], strict=True)]
    assert np.mean(right) > 0.97
    assert np.mean([p.warning is None for p in predictions]) > 0.8


class TestRejection:
    def test_two_percent_of_the_validation_images_are_below_the_threshold(self):
        logits = torch.randn(5000, 10, generator=torch.Generator().manual_seed(0))
        assert (rejection.score(logits) < threshold_of(logits)).float().mean() == pytest.approx(0.02, abs=3e-4)

    @pytest.mark.parametrize("source", ["cnn", "mlp", "auto"])
    def test_shipped_weights_have_theirs_on_the_card(self, source):
        weights = read_weights(source)
        card = json.loads((FOLDER / f"{weights.path.stem}.json").read_text())
        assert find_threshold(weights) == card["not_a_digit_below"] > 1

    def test_a_finished_run_has_it_in_its_validation_logits(self, version_0_1_0):
        logits = torch.from_numpy(read_predictions(version_0_1_0 / "run")["val_logits"])
        assert find_threshold(read_weights(version_0_1_0 / "run")) == pytest.approx(threshold_of(logits))
        (version_0_1_0 / "run" / "metrics.json").unlink()
        assert find_threshold(read_weights(version_0_1_0 / "run")) is None, "not finished"

    def test_other_files_have_none(self, tmp_path):
        weights = read_weights("mlp")
        (tmp_path / "m.safetensors").write_bytes(pack(weights.state, weights.description))
        assert find_threshold(read_weights(tmp_path / "m.safetensors")) is None

    def test_a_run_whose_logits_have_other_classes_is_refused(self, version_0_1_0, monkeypatch):
        monkeypatch.setattr(rejection, "read_predictions", lambda run: {"val_logits": np.zeros((9, 3), np.float32)})
        with pytest.raises(InputError, match="has 3 classes, and its network has 10"):
            find_threshold(read_weights(version_0_1_0 / "run"))

    def test_noise_is_no_digit_and_digits_seldom_are(self, digits):
        rng = np.random.default_rng(0)
        page = np.full((84, 84), 255, np.uint8)
        page[28:56, 28:56] = rng.integers(0, 255, (28, 28))
        [one] = predict_images("auto", [page])
        assert NOT_A_DIGIT in (one.warning or "") and one.label is not None
        seen = predict_images("auto", list(digits[0][:200]))
        assert sum(p.warning is not None for p in seen) < 0.05 * 200

    def test_raw_images_are_not_doubted(self):
        [one] = predict_images("auto", [np.zeros((28, 28), np.uint8)], raw=True)
        assert one.warning is None and one.box is None


class TestRobustWeights:
    def test_they_are_small_and_as_accurate_as_the_plain_ones(self):
        card = read_card("cnn", "mnist-robust")
        assert card["bytes"] == (FOLDER / card["file"]).stat().st_size < 600_000
        assert card["command"] == "python -m mnist_zoo experiment=photo seed=0 trainer=cpu"
        assert card["test_acc"] >= max(read_card(name)["test_acc"] for name in ("cnn", "cnn_dropout"))
        assert card["data_fingerprint"] == read_card("cnn")["data_fingerprint"]

    @pytest.mark.parametrize("name", ["auto", "cnn-mnist-robust"])
    def test_names_mean_them(self, name):
        assert read_weights(name).path == FOLDER / "cnn-mnist-robust.safetensors"
        expected = create_model("cnn", pretrained="mnist-robust").state_dict()
        assert all(torch.equal(read_weights(name).state[key].float(), value) for key, value in expected.items())

    def test_another_network_has_none(self):
        with pytest.raises(InputError, match="no weights of mlp for mnist-robust come with mnist_zoo"):
            create_model("mlp", pretrained="mnist-robust")


class TestTable:
    def test_a_row_counts_what_is_right_and_what_is_warned(self):
        pictures = [
            photos.Photo("thin", "3", paper()),
            photos.Photo("blobs", "", paper()),
            photos.Photo("thin", "4", paper()),
        ]
        pictures += [photos.Photo(photos.SEVERAL, "12", paper())]

        def said(*labels, warning=None):
            return [{"label": label, "error": None if label else "is blank", "warning": warning} for label in labels]

        names = [f"{number:06d}.png" for number in range(4)]
        there = dict(zip(names, (said("3"), said("8"), said("9"), said("1")), strict=True))
        now = dict(
            zip(names, (said("3", warning="?"), said(None), said("4"), said("1", warning="2 things")), strict=True)
        )
        many = dict(zip(names, (said("3"), said(None), said("4"), said("1", "2")), strict=True))
        rows = [count_kind(kind, pictures, there, there, now, many) for kind in ("thin", "blobs", photos.SEVERAL)]
        assert rows[0] == "| thin | 2 | 1 | 0 | 1 | 0 | 2 | 1 |"
        assert rows[1] == "| blobs | 1 |  | 0 |  | 0 |  | 1 |"
        assert rows[2] == "| several digits | 1 |  | 0 |  | 0 | 1 | 1 |"

    def test_another_checkout_is_needed(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as end:
            photo_table.main(["--against", str(tmp_path)])
        assert end.value.code == 1 and "is not a checkout of the library" in capsys.readouterr().err

    def test_equal_seeds_draw_equal_pictures(self, digits, drawn):
        again = next(photos.draw_photos(*digits, COUNT, seed=3)).image
        assert np.array_equal(np.asarray(again), np.asarray(drawn["fonts"][0].image))


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch, drawn) -> None:
        monkeypatch.chdir(tmp_path)
        drawn[photos.SEVERAL][0].image.save("year.png")
        paper((40, 20, 50, 60)).save("one.png")

    def test_many_prints_the_digits_together(self, capsys, drawn):
        digits = drawn[photos.SEVERAL][0].digits
        with pytest.raises(SystemExit) as end:
            predict_command.main(["auto", "year.png", "one.png", "--many", "--json", "out.json"])
        out, err = capsys.readouterr()
        assert end.value.code == 0 and f"year.png: {' '.join(digits)}" in out.splitlines()
        assert err.startswith("auto: cnn-mnist-robust, 99.50 % on MNIST's test set (python -m mnist_zoo experiment=pho")
        rows = [row for row in json.loads(Path("out.json").read_text()) if row["image"] == "year.png"]
        assert [row["label"] for row in rows] == list(digits) and all(len(row["box"]) == 4 for row in rows)

    def test_without_it_a_warning_is_printed(self, capsys):
        with pytest.raises(SystemExit) as end:
            predict_command.main(["auto", "year.png", "one.png", "--csv", "out.csv"])
        out, err = capsys.readouterr()
        assert end.value.code == 0 and "--many reads each" in out
        assert "warning: 1 of 2 labels may mean nothing" in err
        assert "things of similar size" in Path("out.csv").read_text().splitlines()[1]

    def test_many_and_raw_exclude_each_other(self, capsys):
        with pytest.raises(SystemExit):
            predict_command.main(["cnn", "one.png", "--many", "--raw"])
        assert "use --many without --raw" in capsys.readouterr().err
