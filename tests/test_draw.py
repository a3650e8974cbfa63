"""The page to draw on: what Python writes into it, what it refuses, and its digitising against `digitise` in Node."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawn import pictures
from torch import nn

from mnist_zoo.draw import main
from mnist_zoo.errors import InputError
from mnist_zoo.inference.digitise import find_digits
from mnist_zoo.inference.drawing.page import LARGEST, write_page
from mnist_zoo.inference.drawing.steps import trace
from mnist_zoo.models import create_model
from mnist_zoo.weights import pack, read_card, read_weights

NODE = shutil.which("node")
TEMPLATES = Path(__file__).parents[1] / "mnist_zoo/inference/drawing/templates"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Return the page of lenet5 and mlp."""
    path = tmp_path_factory.mktemp("draw") / "draw.html"
    size = write_page(["lenet5", "mlp"], path)
    assert size == path.stat().st_size <= LARGEST
    return path.read_text()


def records(page: str) -> list[dict]:
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def decode(record: dict, block: str, place: list[int]) -> np.ndarray:
    dtype = {"matrices": "<f2", "vectors": "<f4"}[block]
    start, count = place
    return np.frombuffer(base64.b64decode(record[block]), dtype)[start : start + count]


def test_the_weights_in_the_page_are_those_of_the_network(page):
    lenet, _ = records(page)
    state = {name: tensor.float() for name, tensor in read_weights("lenet5").state.items()}
    layers = [step for step in lenet["steps"] if "weight" in step]
    assert [step["op"] for step in layers] == ["conv2d", "conv2d", "linear", "linear", "linear"]
    for step, name in zip(layers, ["features.0", "features.3", "features.7", "features.9", "head"], strict=True):
        weight, bias = state[f"{name}.weight"].flatten(), state[f"{name}.bias"]
        assert np.array_equal(decode(lenet, "matrices", step["weight"]), weight.numpy().astype(np.float16))
        assert np.array_equal(decode(lenet, "vectors", step["bias"]), bias.numpy())


def test_the_page_knows_the_preprocessing_and_the_first_stage(page):
    lenet, mlp = records(page)
    card = read_card("lenet5")
    assert [lenet[key] for key in ("mean", "std", "threshold")] == [
        card[key] for key in ("mean", "std", "not_a_digit_below")
    ]
    assert lenet["classes"] == list("0123456789")
    assert (lenet["name"], lenet["steps"][lenet["maps"] - 1]["shape"]) == ("lenet5-mnist", [6, 28, 28])
    assert mlp["steps"][mlp["maps"] - 1]["shape"] == [120]
    assert lenet["steps"][lenet["output"] - 1]["shape"] == [10]


def test_the_page_needs_nothing_else_and_runs_no_other_script(page):
    assert not re.findall(r"(?:src|href)=|url\(|https?:|@import", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        code = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert not re.findall(r"\son\w+=|\sstyle=", page)


def saved(folder: Path, name: str, network: nn.Module | None = None, **changes) -> Path:
    """Write weights of a registered network, as trained on MNIST but for some fields of its description."""
    known = replace(read_weights("mlp").description, model={"name": name}, **changes)
    path = folder / f"{name}.safetensors"
    path.write_bytes(pack((network or create_model(name)).state_dict(), known))
    return path


def test_two_networks_of_one_name_get_numbers(tmp_path):
    write_page(["mlp", "mlp"], tmp_path / "draw.html")
    assert [record["name"] for record in records((tmp_path / "draw.html").read_text())] == [
        "mlp-mnist (1)",
        "mlp-mnist (2)",
    ]


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        ("simple_c2", {}, r"too large for a page of 2 MB.*: simple_c2 2\.2\d MB; leave networks out"),
        ("mlp", {"mean": None}, "does not say how its training images were normalised"),
        ("mlp", {"filters": {"blur": 3}}, "mlp was trained on filtered images"),
        ("mlp", {"class_names": tuple("abcdefghij")}, "mlp: this network was trained on mnist.*, classes a, b, c"),
    ],
)
def test_networks_that_the_page_cannot_hold_are_named(tmp_path, network, changes, message):
    source = saved(tmp_path, network, **changes)
    with pytest.raises(InputError, match=message):
        write_page([source], tmp_path / "draw.html")
    assert not (tmp_path / "draw.html").exists()


class Branching(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10] if x.sum() > 0 else x.flatten(1)[:, 10:20]


class Function(nn.Module):
    """A layer that computes a function of its input and of a parameter of the same shape."""

    def __init__(self, function):
        super().__init__()
        self.function, self.shift = function, nn.Parameter(torch.ones(1, 1, 28, 28))

    def forward(self, x):
        return self.function(x, self.shift)


def network(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.ConvTranspose2d(1, 2, 3)], r"layer 0 \(ConvTranspose2d, operation conv_transpose2d\) is not supported"),
        ([nn.Flatten(), nn.LayerNorm(784)], r"layer 1 \(LayerNorm, operation layer_norm\) is not supported"),
        ([nn.BatchNorm2d(1, track_running_stats=False)], r"layer 0 \(BatchNorm2d.*has no running mean and variance"),
        ([nn.ReflectionPad2d(1)], r"layer 0 \(ReflectionPad2d"),
        ([nn.AvgPool2d(2, divisor_override=3)], r"layer 0 \(AvgPool2d.*has a divisor of its own"),
        ([nn.Linear(28, 10)], r"layer 0 \(Linear.*is applied to more than one vector"),
        ([Function(lambda x, shift: torch.cat(x.chunk(2, 2), 1))], r"layer 0 \(Function, operation \w+\) is not supp"),
        ([Function(lambda x, shift: shift + x)], r"layer 0 \(Function, operation add\) takes a constant tensor"),
        ([Function(lambda x, shift: x * shift)], r"layer 0 \(Function, operation mul\) takes a constant tensor"),
        ([Function(lambda x, shift: torch.cat([x, shift], 1))], r"layer 0 \(Function, operation cat\) takes a const"),
        ([Function(lambda x, shift: x + x.mean((2, 3), True))], r"layer 0 \(Function, operation add\) combines"),
        ([Function(lambda x, shift: F.dropout(x))], r"layer 0 \(Function, operation dropout\) is random in evaluation"),
        ([Function(lambda x, shift: x.mean(dim=None))], r"layer 0 \(Function, operation mean\) averages over someth"),
        ([nn.ConstantPad2d(1, -torch.inf)], r"layer 0 \(ConstantPad2d, operation \w+\) has a number that is not"),
        ([Branching()], r"the network cannot be traced \("),
    ],
)  # fmt: skip
def test_what_the_page_cannot_run_is_named_in_one_line(layers, message):
    with pytest.raises(InputError, match=f"^mine: {message}") as error:
        trace(network(*layers), (1, 28, 28), "mine")
    assert "\n" not in str(error.value)


def test_a_network_may_add_its_image():
    steps = trace(network(Function(lambda x, shift: x.relu() + x)), (1, 28, 28), "mine")["steps"]
    assert [(step["op"], step["inputs"]) for step in steps] == [("relu", [0]), ("add", [1, 0])]


def test_weights_that_float16_cannot_hold_are_named():
    layer = nn.Linear(784, 10)
    nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(InputError, match=r"mine: layer 1 \(Linear, .*\) has weights that float16 cannot hold"):
        trace(network(nn.Flatten(), layer), (1, 28, 28), "mine")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing", "--out", "{}/draw.html"], "error: 'nothing' is not a run folder"),
        (["mlp", "--out", "{}/missing/draw.html"], "there is no folder"),
        (["mlp", "--out", "{}/folder.html"], "it is not a regular file"),
        (["{}/mlp.safetensors", "--out", "{}/mlp.safetensors"], "the name must end in .html"),
        (["{}/mlp.safetensors", "--out", "{}/link.html"], "it is one of the files to read"),
        (["mlp", "--out", "{}/draw.html", "--plugin", "no_such"], "no_such"),
    ],
)
def test_the_command_answers_in_one_line(tmp_path, capsys, words, message):
    before = saved(tmp_path, "mlp").read_bytes()
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to(tmp_path / "mlp.safetensors")
    with pytest.raises(SystemExit, match="1"):
        main([word.format(tmp_path) for word in words])
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert (tmp_path / "mlp.safetensors").read_bytes() == before and not (tmp_path / "draw.html").exists()


@pytest.mark.skipif(NODE is None, reason="Node runs the page's JavaScript")
def test_the_page_digitises_as_python_does():
    """100 digits on paper: grey paper and ink, noise, two digits, digits in parts."""
    drawn = pictures(100)
    program = (
        (TEMPLATES / "digitise.js").read_text()
        + """
const {side, sheets} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = sheets.map((sheet) => digitise(new Uint8Array(Buffer.from(sheet, "base64")), side, side));
console.log(JSON.stringify(found.map((digit) => digit && {...digit, pixels: Array.from(digit.pixels)})));
"""
    )
    blank = np.full_like(np.asarray(drawn[0]), 255)
    sheets = [base64.b64encode(np.asarray(sheet).tobytes()).decode() for sheet in [*drawn, blank]]
    given = json.dumps({"side": drawn[0].width, "sheets": sheets})
    done = subprocess.run([NODE, "-e", program], input=given, capture_output=True, text=True, timeout=60, check=True)
    *answers, nothing = json.loads(done.stdout)
    assert nothing is None
    warned = 0
    for number, (sheet, answer) in enumerate(zip(drawn, answers, strict=True)):
        digit = find_digits(sheet)[0]
        assert np.array_equal(np.reshape(answer["pixels"], (28, 28)), digit.pixels), f"picture {number}"
        assert np.allclose(np.array(answer["box"]) / sheet.width, digit.box)
        assert (answer["warning"] is None) == (digit.warning is None)
        warned += digit.warning is not None
    assert 5 <= warned <= 50, "some pictures have two digits, and most have one"


def test_the_committed_page_is_small_and_of_todays_program():
    page = (Path(__file__).parents[1] / "docs/draw.html").read_text()
    assert len(page) < 1_000_000
    names = [record["name"] for record in records(page)]
    assert names == ["cnn_dropout-mnist", "lenet5-mnist"]
    for name in ("network.js", "digitise.js", "page.js", "page.css"):
        assert (TEMPLATES / name).read_text().strip() in page, f"{name} has changed: write docs/draw.html again"
    assert torch.equal(
        torch.from_numpy(decode(records(page)[1], "matrices", [0, 150]).copy()),
        read_weights("lenet5").state["features.0.weight"].half().flatten(),
    )
