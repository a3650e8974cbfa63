"""The page to draw on, in headless Chromium: its networks against PyTorch, its digitising, and drawn digits."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from chromium import PROGRAM, Browser, chromium
from drawn import SIDE, digits, pictures
from PIL import Image
from torch import nn
from torchvision.models.densenet import _DenseLayer as DenseLayer
from torchvision.models.resnet import BasicBlock

from mnist_zoo import predict_images
from mnist_zoo.attribution import attribute, has_captum
from mnist_zoo.inference.digitise import find_digits
from mnist_zoo.inference.drawing.page import write_page
from mnist_zoo.inference.drawing.steps import trace
from mnist_zoo.models import create_model, list_models
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.weights import read_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium opens the page"),
    pytest.mark.xdist_group("chromium"),
]
COUNT = 100  # digits
SOURCES = ("cnn_dropout", "lenet5", "mlp")
STROKES = {  # points of one stroke, pixels of the pad
    "3": [(90, 80), (120, 55), (170, 60), (190, 90), (160, 130), (120, 140), (165, 150), (195, 185), (170, 225),
          (120, 235), (80, 210)],
    "7": [(75, 60), (130, 58), (205, 60), (180, 110), (150, 170), (130, 235)],
    "8": [(180, 75), (140, 50), (100, 75), (110, 110), (150, 135), (185, 175), (165, 225), (120, 228), (95, 190),
          (125, 145), (170, 110), (182, 75)],
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("draw") / "draw.html"
    write_page(SOURCES, path)
    return path


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(page)
        yield opened
        assert opened.messages == [], "the console of the page"


MEAN, STD = 0.13, 0.31  # of networks that are not trained


def logits_in(browser: Browser, model: nn.Module, images: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Return the logits of uint8 images ``(N, 28, 28)`` that the page computes for a network."""
    record = trace(model, (1, 28, 28), "mine") | {"mean": mean, "std": std}
    pixels = base64.b64encode(images.tobytes()).decode()
    code = """
    (() => {
      const network = loadNetwork(%s), pixels = decodeBytes("%s");
      const answers = [];
      for (let start = 0; start < pixels.length; start += 784) {
        const values = forward(network, normalised(network, pixels.subarray(start, start + 784)));
        answers.push(Array.from(values[network.output].data));
      }
      return answers;
    })()"""
    return np.array(browser.evaluate(code % (json.dumps(record), pixels)))


def logits_of(model: nn.Module, images: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Return the logits that PyTorch computes."""
    with torch.inference_mode():
        return model((torch.from_numpy(images)[:, None].float() / 255 - mean) / std).numpy()


def with_weights(model: nn.Module) -> nn.Module:
    """Give a network weights that float16 can hold and batch norms that change their input; evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                for tensor, low in ((layer.weight, 0.5), (layer.bias, -0.5), (layer.running_mean, -0.5)):
                    if tensor is not None:
                        tensor.copy_(low + torch.rand(tensor.shape, generator=generator))
                layer.running_var.copy_(0.5 + torch.rand(layer.running_var.shape, generator=generator))
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half())
    return model.eval().requires_grad_(False)


class Sum(nn.Module):
    """Arithmetic between values and with numbers."""

    def forward(self, x):
        y = x.relu() * 2 - 0.5
        return torch.cat([x + y, x - y, x * y, x / (y * y + 1), x + x], 1) / 2


class InPlace(nn.Module):
    """Operations in place, on a value and on a view of it, that another value uses afterwards."""

    def forward(self, x):
        y = x * 1.5 - 0.4
        y.flatten(1).relu_()
        z = y + 0.25
        z.mul_(y).add_(x)
        return z + y


LAYERS = {
    "linear": [nn.Flatten(), nn.Linear(784, 20), nn.Linear(20, 12, bias=False)],
    "conv2d": [nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 5, bias=False)],
    "conv2d with stride and padding": [nn.Conv2d(1, 4, (5, 3), stride=(2, 3), padding=(2, 1))],
    "conv2d with padding=same": [nn.Conv2d(1, 4, 3, padding="same"), nn.Conv2d(4, 4, 4, padding="same")],
    "conv2d with dilation and groups": [nn.Conv2d(1, 4, 3, dilation=2, padding=3), nn.Conv2d(4, 8, 3, groups=2)],
    "max pooling": [nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)],
    "max pooling with dilation": [nn.Conv2d(1, 3, 3), nn.MaxPool2d((3, 2), stride=2, padding=1, dilation=2)],
    "average pooling": [nn.Conv2d(1, 3, 3), nn.AvgPool2d(2), nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True)],
    "average pooling without its padding": [nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False)],
    "adaptive average pooling": [nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d((5, 7))],
    "global average pooling": [nn.Conv2d(1, 6, 3), nn.AdaptiveAvgPool2d(1)],
    "batch norm": [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(2704, 9), nn.BatchNorm1d(9)],
    "batch norm without weights": [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False)],
    "relu": [nn.Conv2d(1, 3, 3), nn.ReLU()],
    "relu in place": [nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True)],
    "leaky relu": [nn.Conv2d(1, 3, 3), nn.LeakyReLU(0.2)],
    "elu": [nn.Conv2d(1, 3, 3), nn.ELU(0.7)],
    "gelu": [nn.Conv2d(1, 3, 3), nn.GELU()],
    "gelu by tanh": [nn.Conv2d(1, 3, 3), nn.GELU("tanh")],
    "silu": [nn.Conv2d(1, 3, 3), nn.SiLU()],
    "tanh": [nn.Conv2d(1, 3, 3), nn.Tanh()],
    "sigmoid": [nn.Conv2d(1, 3, 3), nn.Sigmoid()],
    "dropout": [nn.Conv2d(1, 3, 3), nn.Dropout(), nn.Dropout2d()],
    "padding": [nn.ZeroPad2d((1, 2, 3, 0)), nn.ConstantPad2d(1, 0.5), nn.Conv2d(1, 3, 3)],
    "sums, products, concatenation": [nn.Conv2d(1, 3, 3), Sum()],
    "operations in place": [nn.Conv2d(1, 3, 3), InPlace()],
    "residual block": [nn.Conv2d(1, 4, 3, padding=1), BasicBlock(4, 4)],
    "dense layer": [nn.Conv2d(1, 4, 3), DenseLayer(4, 3, 2, 0.2)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_numbers_of_pytorch(browser, name):
    torch.manual_seed(0)
    body = nn.Sequential(*LAYERS[name], nn.Flatten())
    width = body.eval()(torch.zeros(1, 1, 28, 28)).shape[1]
    model = with_weights(nn.Sequential(body, nn.Linear(width, 10)))
    images = digits(COUNT)
    expected = logits_of(model, images, MEAN, STD)
    assert expected.std(0).mean() > 1e-3, "the logits depend on the image"
    assert np.abs(logits_in(browser, model, images, MEAN, STD) - expected).max() < 2e-5 * max(1, np.abs(expected).max())


SMALL = [
    name for name in list_models() if sum(p.numel() for p in create_model(name).parameters()) < 700_000
]  # the page holds 712,000 numbers


@pytest.mark.parametrize("name", SMALL)
def test_every_small_network_runs_in_the_page(browser, name):
    torch.manual_seed(0)
    model = with_weights(create_model(name))
    images = digits(10)
    expected = logits_of(model, images, MEAN, STD)
    assert np.abs(logits_in(browser, model, images, MEAN, STD) - expected).max() < 2e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("source", SOURCES)
def test_a_shipped_network_answers_as_pytorch_does(browser, source):
    """The kernels in its file are float16, as in the page: the logits agree to rounding."""
    weights, images = read_weights(source), digits(COUNT)
    mean, std = weights.description.mean, weights.description.std
    model = build_trained(weights).requires_grad_(False)
    expected, found = logits_of(model, images, mean, std), logits_in(browser, model, images, mean, std)
    assert np.abs(found - expected).max() < 1e-4
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_the_browser_digitises_as_python_does(browser):
    for number, sheet in enumerate(pictures(COUNT)):
        pixels = base64.b64encode(np.asarray(sheet).tobytes()).decode()
        found = browser.evaluate(f'Array.from(digitise(decodeBytes("{pixels}"), {SIDE}, {SIDE}).pixels)')
        assert np.array_equal(np.reshape(found, (28, 28)), find_digits(sheet)[0].pixels), f"picture {number}"


@pytest.mark.skipif(not has_captum(), reason="captum computes the expected map")
def test_where_it_looks_is_the_occlusion_map_of_captum(browser):
    known, [image] = read_weights("lenet5").description, digits(1)
    model = build_trained(read_weights("lenet5"))
    pixels = base64.b64encode(image.tobytes()).decode()
    found = browser.evaluate(
        f"occlusion(cards[1].network, decodeBytes('{pixels}'), 3, () => false).then((map) => Array.from(map))"
    )
    inputs = (torch.from_numpy(image)[None, None].float() / 255 - known.mean) / known.std
    expected = attribute(model, inputs, torch.tensor([3]), -known.mean / known.std)["occlusion"]
    assert np.abs(np.reshape(found, (28, 28)) - expected[0]).max() < 1e-4


def fine(points: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Return a stroke with five points between any two."""
    pairs = itertools.pairwise(points)
    return [(a + (c - a) * t / 6, b + (d - b) * t / 6) for (a, b), (c, d) in pairs for t in range(6)] + points[-1:]


def draw(browser: Browser, digit: str, touch: bool) -> None:
    """Draw a digit on the pad, and wait until its maps are drawn."""
    left, top, width = browser.evaluate("(({left, top, width}) => [left, top, width])(pad.getBoundingClientRect())")
    points = [(left + width * x / SIDE, top + width * y / SIDE) for x, y in fine(STROKES[digit])]
    if touch:
        browser.touch("touchStart", points[0])
        for point in points[1:]:
            browser.touch("touchMove", point)
        browser.touch("touchEnd")
    else:
        browser.mouse("mousePressed", *points[0])
        for point in points[1:]:
            browser.mouse("mouseMoved", *point)
        browser.mouse("mouseReleased", *points[-1])
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    browser.evaluate("explainAll(digitise(readPad(), SIDE, SIDE), turn)")


@pytest.mark.parametrize(
    ("digit", "width", "dark", "touch"),
    [("3", 1280, False, False), ("7", 1280, True, False), ("8", 390, False, True), ("3", 390, True, True)],
)
def test_a_digit_is_drawn_and_read_as_predict_reads_its_picture(browser, page, digit, width, dark, touch):
    browser.open(page, width, 844 if touch else 900, dark, touch)
    assert browser.evaluate("[undo, clear].every((button) => button.disabled)")
    draw(browser, digit, touch)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the window"
    picture = base64.b64decode(browser.evaluate("pad.toDataURL('image/png')").partition(",")[2])
    shown = browser.evaluate("cards.map((card) => [card.network.classes[card.label], card.said, card.name])")
    for source, (label, said, name) in zip(SOURCES, shown, strict=True):
        [expected] = predict_images(source, [Image.open(io.BytesIO(picture)).convert("RGB")])
        assert (label, name) == (expected.label, f"{source}-mnist") and label == digit
        assert f"{100 * expected.probability:.1f} %" in said
        assert ("not a digit?" in said) == ("not a digit?" in (expected.warning or ""))
    assert browser.evaluate("document.getElementById('spoken').textContent").count(digit + ", ") == len(SOURCES)
    for canvas in ("maps", "where"):
        painted = f"new Set(card.find('{canvas}').getContext('2d').getImageData(0, 0, 28, 28).data).size"
        assert min(browser.evaluate(f"cards.map((card) => {painted})")) > 10, f"the {canvas} show something"


def test_undo_and_clear_empty_the_sheet(browser, page):
    for button in ("undo", "clear"):
        browser.open(page)
        draw(browser, "7", touch=False)
        assert browser.evaluate("digitise(readPad(), SIDE, SIDE) !== null")
        browser.evaluate(f"document.getElementById('{button}').click()")
        browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert browser.evaluate("digitise(readPad(), SIDE, SIDE)") is None
        assert browser.evaluate("cards.map((card) => card.find('answer').textContent)") == ["-"] * len(SOURCES)
        assert browser.evaluate("document.querySelectorAll('#summary b').length") == len(SOURCES)


def test_a_stroke_along_the_edge_leaves_a_margin_of_paper(browser, page):
    browser.open(page)
    left, top, width = browser.evaluate("(({left, top, width}) => [left, top, width])(pad.getBoundingClientRect())")
    browser.mouse("mousePressed", left + 1, top + 40)  # the corners are round
    browser.mouse("mouseMoved", left + width - 40, top + 1)
    browser.mouse("mouseMoved", left + width + 50, top + width + 50)
    browser.mouse("mouseReleased", left + width + 50, top + width + 50)
    grey = np.reshape(browser.evaluate("Array.from(readPad())"), (SIDE, SIDE))
    assert grey.min() == 0
    assert (
        np.concatenate([grey[:3].ravel(), grey[-3:].ravel(), grey[:, :3].ravel(), grey[:, -3:].ravel()]) == 255
    ).all()


def test_the_committed_page_opens(browser, tmp_path):
    from test_draw import TEMPLATES

    page = shutil.copy(TEMPLATES.parents[3] / "docs/draw.html", tmp_path)
    browser.open(tmp_path / page)
    draw(browser, "3", touch=False)
    assert browser.evaluate("cards.map((card) => card.find('answer').textContent)") == ["3", "3"]
