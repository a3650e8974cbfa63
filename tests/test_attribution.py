"""Attribution: the maps are what they are defined as, and predict and the report draw them or say what is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mnist_zoo import attribution
from mnist_zoo import predict as predict_command
from mnist_zoo.attribution import METHODS, attribute
from mnist_zoo.errors import InputError
from mnist_zoo.report.attribution import attribution_blocks

OLD_RUN = Path(__file__).parent / "fixtures" / "0.1.0" / "run"
IMAGES = np.random.default_rng(0).integers(0, 255, (9, 1, 28, 28), dtype=np.uint8)


@pytest.fixture
def captum() -> None:
    pytest.importorskip("captum")


@pytest.fixture
def no_captum(monkeypatch) -> None:
    monkeypatch.setattr(attribution, "has_captum", lambda: False)


class Linear(nn.Module):
    """Logits that are known weighted sums of the pixels: all methods have a closed form."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, channels, side, side))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kchw->nk", images, self.weight)


@pytest.mark.usefixtures("captum")
class TestMaps:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_gradients_of_a_linear_network_are_its_weights(self, channels):
        model, images = Linear(channels, 9), torch.rand(4, channels, 9, 9)
        classes = torch.tensor([0, 2, 1, 0])
        maps = attribute(model, images, classes, black=-0.5)
        weights = model.weight.detach()[classes]
        assert list(maps) == list(METHODS) and all(each.shape == (4, 9, 9) for each in maps.values())
        assert np.allclose(maps["saliency"], weights.abs().amax(1), atol=1e-5)
        assert np.allclose(maps["integrated gradients"], ((images + 0.5) * weights).sum(1), atol=1e-4)

    def test_occlusion_is_the_fall_of_the_logit(self):
        model, images = Linear(1, 5), torch.rand(2, 1, 5, 5)  # the window covers the whole image
        classes = torch.tensor([1, 2])
        black = torch.full_like(images, -0.5)
        fall = (model(images) - model(black)).detach()[[0, 1], classes]
        occlusion = attribute(model, images, classes, black=-0.5)["occlusion"]
        assert np.allclose(occlusion, fall.view(-1, 1, 1).expand(2, 5, 5).numpy(), atol=1e-4)

    @pytest.mark.parametrize(
        ("side", "classes", "message"),
        [(4, [0], "at least 5x5 pixels"), (9, [7], "the network cannot be explained"), (6, [0], "cannot be explained")],
    )
    def test_what_the_network_does_not_take_is_one_line(self, side, classes, message):
        with pytest.raises(InputError, match=message) as error:
            attribute(Linear(1, 9), torch.rand(1, 1, side, side), torch.tensor(classes), black=0.0)
        assert "\n" not in str(error.value)


class TestPredict:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        page = Image.new("L", (60, 60), 255)
        page.paste(0, (26, 10, 34, 50))
        page.save("one.png")

    @pytest.mark.usefixtures("captum")
    def test_explain_writes_a_picture_of_the_readable_images(self, capsys):
        Path("broken.png").write_bytes(b"")
        with pytest.raises(SystemExit) as end:
            predict_command.main(["auto", "one.png", "broken.png", "--explain", "why.png"])
        assert end.value.code == 1 and "wrote why.png" in capsys.readouterr().err
        with Image.open("why.png") as picture:
            assert picture.width > 2 * picture.height, "one row of four"
            colours = np.asarray(picture.convert("RGB")).astype(int)
        assert ((colours[..., 0] - colours[..., 2]) > 100).any(), "red: for the class"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--explain", "why.jpg"], "--explain why.jpg: the picture is a PNG"),
            (["--explain", "one.png"], "cannot write one.png: it is one of the files to read"),
            (["--explain", "a.png", "--show", "a.png"], "two outputs cannot be written to one file"),
        ],
    )
    @pytest.mark.usefixtures("captum")
    def test_an_invalid_request_ends_in_one_line(self, capsys, arguments, message):
        with pytest.raises(SystemExit):
            predict_command.main(["auto", "one.png", *arguments])
        assert message in capsys.readouterr().err

    @pytest.mark.usefixtures("no_captum")
    def test_without_captum_one_line_says_how_to_get_it(self, capsys):
        with pytest.raises(SystemExit) as end:
            predict_command.main(["auto", "one.png", "--explain", "why.png"])
        out, err = capsys.readouterr()
        assert end.value.code == 1 and out == "" and err.count("\n") == 1
        assert err.startswith("error: attribution needs captum: pip install ")


class TestReport:
    def blocks(self, folder: Path, images: np.ndarray = IMAGES):
        return attribution_blocks(folder, images, np.arange(9) % 10, [f"image {number}" for number in range(9)])

    @pytest.mark.usefixtures("captum")
    def test_the_worst_errors_are_drawn(self):
        [block] = self.blocks(OLD_RUN)
        assert (block.kind, block.name) == ("figure", "attribution")
        assert len(block.content.axes) == 6 * 4, "six images, each with three maps"

    @pytest.mark.usefixtures("captum")
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda folder: shutil.rmtree(folder / "checkpoints"), r"has no checkpoints/best\.ckpt"),
            (lambda folder: (folder / "checkpoints/best.ckpt").write_bytes(b"x"), "is damaged or not a checkpoint"),
        ],
    )
    def test_a_run_without_readable_weights_gets_one_sentence(self, version_0_1_0, change, message):
        change(version_0_1_0 / "run")
        [block] = self.blocks(version_0_1_0 / "run")
        assert block.kind == "text" and block.content.startswith("No attribution maps of these errors: ")
        assert re.search(message, block.content)

    @pytest.mark.usefixtures("captum")
    def test_a_network_for_other_images_gets_one_sentence(self):
        [block] = self.blocks(OLD_RUN, IMAGES[:, :, :20, :20])
        assert "is of a network for other images" in block.content

    @pytest.mark.usefixtures("no_captum")
    def test_without_captum_one_sentence_says_how_to_get_it(self):
        [block] = self.blocks(OLD_RUN)
        assert "attribution needs captum: pip install " in block.content
