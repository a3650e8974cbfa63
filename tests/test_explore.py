"""Explore: a data set drawn before anything is trained on it."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_zoo.data import MNISTDataModule, sources
from mnist_zoo.errors import InputError
from mnist_zoo.plots import exploration as explore


@pytest.fixture
def stripes(monkeypatch):
    """Two classes of 60 images that pixels tell apart: bright above, bright below."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 60, (120, 28, 28)).astype(np.uint8)
    images[labels == 0, :14] += 180
    images[labels == 1, 14:] += 180
    stripes = sources.ImageSet(images, labels, images[:20], labels[:20], ("above", "below"))
    monkeypatch.setitem(sources._SOURCES, "stripes", lambda root: stripes)
    return MNISTDataModule("stripes", val_size=20, augment={"shift": 0.2})


def test_class_counts_stand_as_bars(stripes):
    axis = explore.class_counts(stripes).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [50, 50, 10, 10, 10, 10]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["above", "below"]


def test_the_mean_image_of_a_class_is_its_mean(stripes):
    (axis,) = explore.mean_images(stripes).axes
    images, labels = stripes.images("train").numpy(), stripes.labels("train").numpy()
    assert axis.texts[0].get_text() == "above"
    assert np.asarray(axis.images[0].get_array()) == pytest.approx(images[labels == 0, 0].mean(axis=0))


def test_augmented_rows_begin_with_the_image_as_it_is(stripes):
    (axis,) = explore.augmented(stripes, count=2).axes
    shown = [np.asarray(image.get_array()) for image in axis.images]
    original = stripes.images("train")[0, 0].numpy() / 255
    assert shown[0] == pytest.approx(original)
    assert all(np.abs(other - original).max() > 0.1 for other in shown[1 : explore.SAMPLES]), "each epoch another shift"


def test_tsne_parts_what_pixels_part(stripes, capsys):
    positions, labels = explore.embed(stripes, 60)
    assert positions.shape == (60, 2)
    centres = np.stack([positions[labels == c].mean(axis=0) for c in (0, 1)])
    nearest = np.linalg.norm(positions[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95
    assert "t-SNE of 60 images" in capsys.readouterr().out, "what takes long says so"
    with pytest.raises(InputError, match="choose from 10 to 100 images"):
        explore.embed(stripes, 101)


def test_many_images_need_opentsne_and_the_error_says_so(stripes, monkeypatch):
    monkeypatch.setattr(explore, "AT_ONCE", 50)
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mnist_zoo\[tsne\]'"):
        explore.embed(stripes, 60)


@pytest.mark.slow
def test_opentsne_shows_its_progress(stripes, monkeypatch, capsys):
    pytest.importorskip("openTSNE")
    monkeypatch.setattr(explore, "AT_ONCE", 50)
    positions, _ = explore.embed(stripes, 60)
    assert positions.shape == (60, 2)
    assert "  50 iterations" in capsys.readouterr().out


def test_the_command_writes_every_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["explore", "data=mnist5k", "--tsne", "100", "--out", str(tmp_path)])
    explore.main()
    names = {"class_counts", "samples", "augmented", "mean_images", "tsne"}
    assert {path.stem for path in tmp_path.glob("*.png")} == names
    assert "mnist5k: 3,667 train, 333 val, 1,000 test" in capsys.readouterr().out


def test_a_typo_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["explore", "data=mnst"])
    with pytest.raises(SystemExit) as stopped:
        explore.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: unknown data 'mnst'; did you mean mnist")
