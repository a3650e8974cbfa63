"""The benchmark measures what it says, and what people read is what was measured. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import data, results
from benchmarks.contenders.networks import plain
from benchmarks.parts import NAMES
from benchmarks.rounds import BenchmarkFailed, Contender, Spread, interleave, ratio
from benchmarks.settings import Settings
from mnist_zoo import MNISTDataModule, create_model
from mnist_zoo.errors import InputError

ROOT = Path(__file__).parents[1]
STUB = """
def main(turn, speed):
    print("what a contender prints is no answer")
    for epoch in range(1000):
        turn.wait()
        if speed == 0:
            raise ArithmeticError("the loss became NaN")
        turn.report(100, (100 / (speed * (epoch + 1)), 1.0), epoch=epoch)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "scratch").mkdir()
    return Settings(data_root=tmp_path, data="mnist5k", scratch=tmp_path / "scratch", rounds=3)


def test_rounds_go_from_contender_to_contender(settings):
    contenders = [Contender(name, "stub", {"speed": speed}) for name, speed in (("a", 30.0), ("b", 10.0))]
    records = interleave("race", contenders, settings)
    assert [(r["round"], r["contender"]) for r in records] == [
        (0, "a"),
        (0, "b"),
        (1, "b"),
        (1, "a"),
        (2, "a"),
        (2, "b"),
    ]
    assert [record["epoch"] for record in records] == [1, 1, 2, 2, 3, 3], "the first was a warm-up"
    over = ratio(records, "race", "a", "b")
    assert (over.median, over.low, over.high) == pytest.approx((3, 3, 3)), "within a round"


def test_a_contender_that_breaks_down_is_named(settings):
    with pytest.raises(BenchmarkFailed, match=r"^slow broke down: ArithmeticError: the loss became NaN$"):
        interleave("race", [Contender("slow", "stub", {"speed": 0})], settings)


@pytest.mark.skipif(find_spec("keras") is not None, reason="Keras is installed")
def test_without_keras_its_row_says_so(settings):
    options = {"model": "mlp", "batch_size": 64, "root": "data", "fraction": 1.0, "threads": 1}
    (record,) = interleave("mlp", [Contender("Keras fit", "benchmarks.contenders.keras_fit", options)], settings)
    assert "not installed" in record["missing"] and "pip install 'mnist_zoo[benchmark]'" in record["missing"]


@pytest.mark.parametrize("name", ["mlp", "cnn", "lenet5", "resnet18"])
def test_the_peers_train_the_same_network(name):
    sizes = [
        sorted(parameter.numel() for parameter in network.parameters()) for network in (plain(name), create_model(name))
    ]
    assert sizes[0] == sizes[1]


def test_data_are_repeated_in_files_that_everybody_reads(tmp_path):
    root = data.root("mnist5k", Path("nowhere"), tmp_path)
    more = data.repeated(root, 90_000, tmp_path / "more")
    module = MNISTDataModule("mnist", root=str(more), val_size=0.1)
    assert [sum(module.class_counts[split]) for split in ("train", "val", "test")] == [81_000, 9_000, 10_000]
    with pytest.raises(InputError, match=r"has no file train-images-idx3-ubyte: .*--data-root DIR, .*--data mnist5k"):
        data.root("mnist", tmp_path / "nowhere", tmp_path)


def call(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_help_names_the_parts():
    done = call("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scalling",), "unknown part 'scalling'; did you mean scaling?"),
        (("--rounds", "0"), "--rounds 0: it must be 1 or more"),
        (("--render",), "has no results.json to write from: measure first"),
        (("start", "--data-root", "/nowhere"), "has no file train-images-idx3-ubyte"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, tmp_path):
    done = call(*arguments, "--out", str(tmp_path))
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1


def measured(records: list[dict]) -> dict:
    about = {"processor": "a processor", "cores": 2, "threads": 1, "quick": False, "load": 0.1}
    about |= {"data": "mnist", "date": "2026-01-01", "versions": {"torch": "2.9"}, "command": "python -m benchmarks"}
    return about | {"minutes": 1.0, "records": records}


def record(contender: str, number: int, seconds: float, group: str = "mlp, batch 64") -> dict:
    times = {"seconds": seconds, "cpu_seconds": seconds, "whole_seconds": 1.5 * seconds}
    return {"group": group, "contender": contender, "round": number, "images": 1000} | times


def test_the_page_is_written_from_the_raw_data_alone(tmp_path):
    speeds = {"this library": (1.0, 1.1), "bare loop, fused Adam": (0.95, 1.0), "the usual way": (7.0, 7.7)}
    records = [record(name, number, s) for name, both in speeds.items() for number, s in enumerate(both)]
    records.append({"group": "mlp, batch 64", "contender": "Keras fit", "missing": "not installed"})
    everything = {"throughput": measured(records)}
    (tmp_path / results.RAW).write_text(results.to_json(everything))
    assert json.loads((tmp_path / results.RAW).read_text()) == everything
    assert results.write(tmp_path) == [tmp_path / "results.md", tmp_path / "throughput.png"]
    page = (tmp_path / "results.md").read_text()
    assert page == results.render(everything)
    assert "| mlp, batch 64 | bare loop, fused Adam | 1,026 | 0.93 [0.909, 0.95] |" in page
    assert "threads a worker: 1, load at the start: 0.1, rounds: 2, MNIST. torch 2.9." in page
    assert ">= 0.9: reached" in page and ">= 8: missed" in page
    assert "| mlp, batch 64 | Keras fit | not installed |" in page
    assert "Not measured yet: levers, precision, accuracy" in page
    assert (tmp_path / "throughput.png").stat().st_size > 10_000


def test_without_a_gpu_its_part_says_so():
    from benchmarks.parts import gpu

    page = results.render({"gpu": measured([gpu.NONE])})
    assert "No CUDA device: not measured." in page and "gpu.png" not in page


def test_a_spread_reads_as_median_least_and_greatest():
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2 [1, 3]"


def test_the_repositorys_results_are_those_of_its_raw_data():
    raw = ROOT / "benchmarks" / results.RAW
    if not raw.exists():
        pytest.skip("not measured yet")
    page = (ROOT / "benchmarks" / results.PAGE).read_text()
    assert results.render(json.loads(raw.read_text())) == page, "run python -m benchmarks --render"


@pytest.mark.slow
def test_a_run_imports_nothing_heavy_beyond_lightning(settings):
    from benchmarks.parts import start

    MNISTDataModule("mnist5k").setup()  # its first parsing, on any machine, imports pandas
    scratch = Path(settings.folder("start"))
    options = ["data=mnist5k", "trainer=cpu", "plugins=[benchmarks.first_step]", f"output_dir={scratch}"]
    start.python(settings, ["-m", "mnist_zoo", *options], modules=scratch / "step.json")
    found = start.imported(settings, scratch)
    assert "hydra" in found
    assert not {"torchvision", "scipy", "matplotlib", "sklearn", "pandas", "mlxtend", "IPython"} & found.keys()


LEVERS_SEEN = {  # what is taken out: the layers, the side they see; contiguous, fused; what is 1e-40 times 1
    "[]": ["['ConvMaxPool2d', 'Identity', 'ReLU'] 26", "False True", "0.0"],
    "['first stage from patches']": ["['Conv2d', 'MaxPool2d', 'ReLU'] 26", "False True", "0.0"],
    "LEVERS": ["['Conv2d', 'ReLU', 'MaxPool2d'] 28", "True False", "1e-40"],
}


@pytest.mark.slow
@pytest.mark.parametrize("off", LEVERS_SEEN)
def test_a_lever_that_is_taken_out_is_out(tmp_path, off):
    code = f"""
import torch
from pytorch_lightning.callbacks import Callback
import mnist_zoo.training.run
from benchmarks.contenders import LEVERS
from benchmarks.contenders.zoo import take_out
from mnist_zoo.commandline import compose_config

class Look(Callback):
    def on_train_start(self, trainer, pl_module):
        features, adam = pl_module.model.features, trainer.optimizers[0]
        second = features[3]
        print([type(layer).__name__ for layer in features][:3], features.seen)
        print(second.weight.is_contiguous(), adam.defaults["fused"])
        print(f"{{(torch.tensor([1e-40]) * torch.ones(1)).item():.0e}}".replace("0e+00", "0.0"))

overrides, callbacks = take_out(list({off}))
cfg = compose_config(["data=mnist5k", "trainer=smoke", "progress=none", "logger=none", *overrides])
mnist_zoo.training.run.run(cfg, "{tmp_path}/run", callbacks=[*callbacks, Look()])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [line for line in done.stdout.splitlines() if line.startswith(("[", "True", "False", "0.0", "1e-40"))]
    assert found == LEVERS_SEEN[off]
