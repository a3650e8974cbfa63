"""What a training asks of a GPU, and the choice of its precision. CUDA's functions are replaced: no test needs one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from mnist_zoo import LitClassifier, speed
from mnist_zoo.errors import InputError
from mnist_zoo.runs import RunFolder, read_metrics, read_status
from mnist_zoo.speed.names import PROCESS
from mnist_zoo.training import precision
from mnist_zoo.training.peak_memory import PeakMemory
from mnist_zoo.training.run import run
from mnist_zoo.training.trainer import deterministic_or_one_line


def test_the_peak_of_memory_is_that_of_the_training(tmp_path, monkeypatch):
    """Reset before it, and read at its end, not after the evaluation."""
    calls = []
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda device: calls.append("reset"))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: calls.append("read") or 12345)
    monkeypatch.setattr("torch.tensor", lambda value, device: value)
    strategy = SimpleNamespace(reduce=lambda value, reduce_op: value)
    trainer, module = (
        SimpleNamespace(strategy=strategy, is_global_zero=True),
        SimpleNamespace(device=torch.device("cuda")),
    )
    with RunFolder(tmp_path / "run") as folder:
        folder.start()
        memory = PeakMemory(folder)
        memory.on_fit_start(trainer, module)
        memory.on_train_end(trainer, module)
    assert calls == ["reset", "read"] and read_status(tmp_path / "run")["peak_memory_bytes"] == 12345


@pytest.mark.parametrize(
    ("given", "device", "optimizer", "warned"),
    [
        ("16-mixed", "cuda", {"name": "rmsprop"}, True),
        ("16-mixed", "cuda", {"name": "adam", "fused": True}, False),
        ("bf16-mixed", "cuda", {"name": "rmsprop"}, False),
        ("16-mixed", "cpu", {"name": "rmsprop"}, False),
    ],
)
def test_float16_with_an_optimizer_that_is_not_fused_gives_a_warning(given, device, optimizer, warned):
    expected = pytest.warns(UserWarning, match="with optimizer=rmsprop waits for the GPU in each step")
    with expected if warned else nullcontext():
        precision.warn_of_waits(given, torch.device(device), optimizer)


@pytest.mark.parametrize(("on_cpu", "asks"), [(True, "0"), (False, "1")])
def test_a_training_on_the_cpu_beside_a_gpu_does_not_ask_the_driver(monkeypatch, on_cpu, asks):
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    off = [name for name in PROCESS if name != "cuda_check"]
    assert speed.apply_to_process(off, on_cpu=on_cpu) == (["cuda_check"] if on_cpu else [])
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == asks


def test_a_run_continues_on_another_device(stripes_config, tmp_path):
    """From a GPU, where there is one, to the CPU."""
    run(stripes_config("epochs=1", "trainer.accelerator=auto"), tmp_path / "run")
    with pytest.warns(UserWarning, match="was tested 1 time"):
        run(stripes_config("epochs=2", "trainer.accelerator=cpu"), tmp_path / "run", resume=True)
    assert read_metrics(tmp_path / "run")["epochs_run"] == 2
    with pytest.raises(InputError, match=r"trainer\.precision: 32-true -> bf16-mixed"):
        run(stripes_config("epochs=3", "trainer.precision=bf16-mixed"), tmp_path / "run", resume=True)


@pytest.mark.parametrize("given", ["true", "false"])
def test_an_operation_without_a_deterministic_form_is_named(stripes_config, tmp_path, monkeypatch, given):
    """As GoogLeNet's adaptive pooling is on a GPU; ``put_`` has none on a CPU either."""
    compute = LitClassifier.compute_loss

    def with_put(self, images, labels):
        torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))
        return compute(self, images, labels)

    monkeypatch.setattr(LitClassifier, "compute_loss", with_put)
    message = "^trainer.deterministic=true: put_ has no deterministic implementation on this device: use trainer.determ"
    try:
        with pytest.raises(InputError, match=message) if given == "true" else nullcontext():
            run(stripes_config("epochs=1", f"trainer.deterministic={given}"), tmp_path / "run")
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_deterministic_run_after_others_says_what_to_set():
    """cuBLAS reads the variable once; torch's message names it among much else."""
    with pytest.raises(InputError, match="set CUBLAS_WORKSPACE_CONFIG=:4096:8 in the"), deterministic_or_one_line():
        raise RuntimeError("Deterministic behavior was enabled ... you must set CUBLAS_WORKSPACE_CONFIG=:4096:8")
    with pytest.raises(RuntimeError, match="another error"), deterministic_or_one_line():
        raise RuntimeError("another error")


class TestPrecisionAuto:
    @pytest.fixture(autouse=True)
    def nothing_measured(self, monkeypatch):
        monkeypatch.setattr(precision, "_measured", {})

    @pytest.mark.parametrize(("gain", "chosen"), [(1.4, "bf16-mixed"), (1.05, "32-true")])
    def test_it_records_what_the_measurement_chose_and_continues_with_it(
        self, stripes_config, tmp_path, monkeypatch, capsys, gain, chosen
    ):
        monkeypatch.setattr(precision, "_gain", lambda *_: gain)
        run(stripes_config("epochs=1", "trainer.precision=auto"), tmp_path / "auto")
        said = f"trainer.precision=auto: {chosen}; a step in bfloat16 is {gain:.2f} x as fast as in float32 here"
        assert said in capsys.readouterr().out.splitlines()
        run(stripes_config("epochs=1", f"trainer.precision={chosen}"), tmp_path / "named")
        auto, named = (read_status(tmp_path / name) for name in ("auto", "named"))
        assert auto["identity"] == named["identity"] and auto["config"]["trainer"]["precision"] == chosen
        assert read_metrics(tmp_path / "auto")["config"]["trainer"]["precision"] == chosen
        monkeypatch.setattr(precision, "bfloat16_gain", None)  # it must not measure again
        with pytest.warns(UserWarning, match="was tested 1 time"):
            run(stripes_config("epochs=2", "trainer.precision=auto"), tmp_path / "auto", resume=True)
        assert read_status(tmp_path / "auto")["config"]["trainer"]["precision"] == chosen

    def test_it_measures_steps_once_and_leaves_the_random_numbers_as_they_were(self, monkeypatch):
        monkeypatch.setattr(precision, "SECONDS", 0.0)
        options = {"model": "mlp", "lr": 1e-3, "num_classes": 10, "image_shape": (1, 28, 28)}
        before = torch.get_rng_state()
        gain = precision.bfloat16_gain(options, 8, "cpu", [])
        assert 0.01 < gain < 100 and torch.equal(torch.get_rng_state(), before)
        assert precision.bfloat16_gain(options | {"lr": 0.1}, 8, "cpu", []) == gain, "once, whatever the learning rate"
        with pytest.raises(InputError, match="auto does not know mps: choose 32-true or bf16-mixed"):
            precision._gain(options, 8, torch.device("mps"), [])
