"""python -m mnist_zoo.describe: the layers of networks, their totals, the diagram, and invalid words."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from torch import nn

from mnist_zoo.describe import main
from mnist_zoo.models import create_model, list_models, registry
from mnist_zoo.models.flops import count_flops
from mnist_zoo.models.layer_table import REST, WHOLE, list_layers
from mnist_zoo.plots.diagram import draw_diagram
from mnist_zoo.weights import pack, read_weights

IMAGE = (1, 28, 28)
LARGE = ("densenet121", "googlenet", "resnet18", "capsnet", "simple_m7", "deep_cnn")  # they take longer


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in list_models()]
)
def test_the_layers_of_every_network_add_up(name):
    model = create_model(name).train()
    layers = list_layers(model, IMAGE)
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in model.parameters())
    assert sum(layer.flops for layer in layers) == count_flops(model, IMAGE)
    assert [layer.shape for layer in layers if layer.shape][-1] == (10,) or name == "capsnet"
    assert model.training, "its mode is restored"
    assert not any(module._forward_hooks for module in model.modules())


def test_the_rows_of_a_small_network():
    rows = [tuple(vars(layer).values()) for layer in list_layers(create_model("cnn_strided", dense=[]), IMAGE)]
    assert rows == [
        ("features.0", "Conv2d", "5x5, stride 2", (16, 12, 12), 416, 115200),
        ("features.1", "BatchNorm2d", "", (16, 12, 12), 32, 0),
        ("features.2", "ReLU", "", (16, 12, 12), 0, 0),
        ("features.3", "Conv2d", "5x5, stride 2", (32, 4, 4), 12832, 409600),
        ("features.4", "BatchNorm2d", "", (32, 4, 4), 64, 0),
        ("features.5", "ReLU", "", (32, 4, 4), 0, 0),
        ("features.6", "Flatten", "", (512,), 0, 0),
        ("head", "Linear", "", (10,), 5130, 10240),
    ]


class Shared(nn.Module):
    """A layer that runs twice, a parameter and a product of the network itself, and a head that does not run."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(784, 784), nn.Parameter(nn.Linear(10, 784).weight.detach())
        self.unused = nn.Conv2d(1, 2, (3, 1), stride=(2, 1), groups=1, padding=(1, 0))

    def forward(self, x):
        return self.layer(self.layer(x.flatten(1))) @ self.scale


def test_parameters_and_operations_count_once():
    rows = [tuple(vars(layer).values()) for layer in list_layers(Shared(), IMAGE)]
    assert rows == [
        ("layer", "Linear", "", (784,), 784 * 785, 2 * 2 * 784 * 784),
        ("layer", "Linear", "", (784,), 0, 0),
        (WHOLE, "Shared", "", (10,), 7840, 2 * 7840),
        ("unused", "Conv2d", "3x1, stride 2x1, padding 1x0", None, 8, 0),
    ]


class Multiplied(nn.Module):
    """A product that no layer computes."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, x):
        return self.head(x.flatten(1)) @ self.head.weight[:, :10]


def test_operations_between_layers_have_a_row():
    assert tuple(vars(list_layers(Multiplied(), IMAGE)[-1]).values()) == (REST, "", "", None, 0, 200)


@pytest.mark.parametrize(
    ("words", "first", "has"),
    [
        (["cnn"], "cnn: 225,034 parameters, 5.26 MFLOP an image; 1x28x28 to 10", "32x26x26"),
        (["cnn", "model.channels=[8,16]", "model.dense=[]"], "cnn: 5,258 parameters", "16x11x11"),
        (["cnn", "--classes", "3", "model.dense=[]"], "; 1x28x28 to 3", "sum"),
        (["cnn", "--image", "3x32x30", "--classes", "7"], "cnn: 315,335 parameters", "32x30x28"),
        (["cnn", "model.image_size=[32,30]"], "cnn: ", "32x30x28"),
        (["cnn_4", "model.init=he"], "cnn_4: ", "Conv2d"),
        (["cnn-mnist-robust"], "cnn: 225,034 parameters", "Linear"),
    ],
)
def test_a_network_is_described_by_its_name_and_overrides(capsys, words, first, has):
    main(words)
    said = capsys.readouterr().out
    assert first in said and has in said


def test_trained_weights_and_plugins_are_described(capsys, tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(pack(create_model("lenet5").state_dict(), read_weights("lenet5").description))
    main([str(path)])
    assert "lenet5: 61,706 parameters" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    Path("described_plugin.py").write_text(
        "from torch import nn\nfrom mnist_zoo import register_model\n\n@register_model('described_net')\n"
        "def build(num_classes, in_chans, width=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784 * in_chans, width), nn.Linear(width, num_classes))\n"
    )
    main(["described_net", "--plugin", "described_plugin", "+model.width=5"])
    assert "described_net: 3,985 parameters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cnnn"], "unknown network, run folder or file 'cnnn'; did you mean cnn"),
        (["knn"], "'knn' is a classical model, not a network"),
        (["cnn", "lr=1"], "lr=1: describe takes overrides of the network only"),
        (["cnn", "model=mlp"], "model=mlp: describe takes overrides of the network only"),
        (["cnn", "model.nosuch=1"], "nosuch"),
        (["cnn", "model.channels=[0]"], "model.channels"),
        (["cnn", "model.channels=[4,4,4,4,4]"], "no pixels left"),
        (["cnn", "--image", "28x28"], "--image 28x28: write channels, height and width, such as 3x32x32"),
        (["cnn", "--image", "1x28x28", "model.image_size=32"], "model.image_size=32, and the images are 28x28"),
        (["cnn", "--classes", "0"], "num_classes and in_chans must be 1 or more"),
        (["cnn-mnist-robust", "model.dense=3"], "cnn-mnist-robust: overrides, --image and --classes are for names"),
        (["googlenet", "--image", "1x3x3"], "googlenet does not take images of shape 1x3x3"),
        (["mlp", "--svg", "{}/net.png"], "net.png: the name must end in .svg"),
        (["mlp", "--svg", "{}/missing/net.svg"], "there is no folder"),
        (["mlp", "--plugin", "no_such_module"], "no_such_module"),
    ],
)
def test_invalid_words_are_one_line(capsys, tmp_path, words, message):
    with pytest.raises(SystemExit, match="1"):
        main([word.format(tmp_path) for word in words])
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and said.startswith("error: ")


def test_the_diagram_has_a_box_for_each_stage(capsys, tmp_path):
    path = tmp_path / "net.svg"
    main(["cnn_batchnorm", "--svg", str(path)])
    assert f"diagram: {path}" in capsys.readouterr().out
    svg = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in svg.iter(f"{space}text")]
    assert "Conv2d 3x3 + BatchNorm2d + ReLU" in texts and "features.0: 384 parameters" in texts
    boxes = [box for box in svg.iter(f"{space}rect") if box.get("class") == "box"]
    assert "64 x 5 x 5" in texts and len(boxes) == 1 + 7, (
        "the image, two convolutions, two poolings, three linear layers"
    )
    _, _, _, height = map(float, svg.get("viewBox").split())
    assert max(float(box.get("y")) + float(box.get("height")) for box in boxes) < height
    assert "prefers-color-scheme: dark" in path.read_text()


def test_names_in_a_diagram_are_escaped():
    layer = list_layers(create_model("mlp"), IMAGE)[1]
    svg = draw_diagram("a <b> & c", IMAGE, [layer])
    assert re.search(r"<text[^>]*>a &lt;b&gt; &amp; c</text>", svg)
    ElementTree.fromstring(svg)
