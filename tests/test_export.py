"""Exported networks compute what the trained one does, for any number of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_zoo import create_model, export_model
from mnist_zoo.errors import InputError
from mnist_zoo.export import main
from mnist_zoo.inference.export import _FORMATS, ExportError
from mnist_zoo.weights import Description, pack, read_weights

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)
    return tmp_path


@pytest.fixture
def images() -> torch.Tensor:
    """Return images uint8, more than the export was traced with."""
    return torch.randint(256, (5, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def expected(images: torch.Tensor, name: str = "lenet5") -> np.ndarray:
    """Return the shipped network's logits, computed without the export's code."""
    known = read_weights(name).description
    with torch.inference_mode():
        return create_model(name, pretrained="mnist").eval()((images / 255 - known.mean) / known.std).numpy()


def test_onnx_takes_pixels_and_any_batch(images):
    exported = export_model("lenet5", with_normalize=True)
    assert exported.path == Path("lenet5.onnx") and exported.bytes == exported.path.stat().st_size
    assert exported.difference < 1e-4 and exported.milliseconds > 0
    session = onnxruntime.InferenceSession(exported.path)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("images", "tensor(uint8)", ["batch", 1, 28, 28])
    ]
    for count in (1, 5):
        logits = session.run(["logits"], {"images": images[:count].numpy()})[0]
        assert np.allclose(logits, expected(images[:count]), atol=1e-4)
    assert sorted(path.name for path in Path().iterdir()) == ["lenet5.onnx"]  # one file, weights inside


def test_onnx_without_normalize_takes_scaled_images(images):
    exported = export_model("mlp", "other.onnx")
    known = read_weights("mlp").description
    scaled = ((images / 255 - known.mean) / known.std).numpy()
    logits = onnxruntime.InferenceSession(exported.path).run(None, {"images": scaled})[0]
    assert np.allclose(logits, expected(images, "mlp"), atol=1e-4)


def test_torch_export_is_a_program_of_its_own(images):
    exported = export_model("lenet5", format="torch_export", with_normalize=True)
    assert exported.path == Path("lenet5.pt2")
    assert np.allclose(torch.export.load(exported.path).module()(images).numpy(), expected(images), atol=1e-4)


def test_safetensors_are_weights_for_create_model(images):
    exported = export_model("lenet5", format="safetensors")
    known = read_weights(exported.path).description
    assert known == read_weights("lenet5").description
    model = create_model("lenet5", pretrained=exported.path).eval()
    assert np.array_equal(model((images / 255 - known.mean) / known.std).detach().numpy(), expected(images))


def test_networks_with_batch_norm_and_other_shapes_export(here):
    options = {"name": "cnn_batchnorm", "image_size": 20}
    known = Description(options, 3, 3, (3, 20, 20), None, 0.5, 0.25, ("a", "b", "c"), {})
    Path("b.safetensors").write_bytes(pack(create_model(**options, num_classes=3, in_chans=3).state_dict(), known))
    exported = export_model("b.safetensors", with_normalize=True)
    assert exported.path.name == "cnn_batchnorm.onnx" and exported.difference < 1e-4 and "Nx3x20x20" in exported.input


def test_a_network_that_differs_is_not_written(monkeypatch):
    def wrong(path, model, example, weights):
        path.write_bytes(b"x")
        return lambda images: model(images) + 1e-3

    monkeypatch.setitem(_FORMATS, "onnx", wrong)
    with pytest.raises(ExportError, match=r"logits differ by 0\.001, more than 0\.0001: nothing written"):
        export_model("lenet5")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet18"], "a name with shipped weights (cnn, cnn_dropout, lenet5, mlp)"),
        (["cnn", "-o", "nowhere/cnn.onnx"], "cannot write nowhere/cnn.onnx: there is no folder nowhere"),
        (["cnn", "--format", "safetensors", "--with-normalize"], "drop with_normalize"),
    ],
)
def test_bad_requests_end_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_an_unknown_format_and_missing_packages_are_named(monkeypatch):
    with pytest.raises(InputError, match="unknown format 'onxx'; did you mean onnx"):
        export_model("cnn", format="onxx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx, onnxruntime, onnxscript: pip install 'mnist_zoo\[export\]'"):
        export_model("cnn")


def test_filters_are_not_silently_dropped():
    known = Description({"name": "mlp"}, 10, 1, (1, 28, 28), "mnist", 0.1, 0.3, tuple("0123456789"), {"blur": 2})
    Path("m.safetensors").write_bytes(pack(create_model("mlp").state_dict(), known))
    with pytest.raises(InputError, match="filters are not exported"):
        export_model("m.safetensors", with_normalize=True)


def test_the_command_says_what_it_wrote_and_measured(capsys):
    main(["mlp", "--format", "torch_export"])
    first, difference, speed = capsys.readouterr().out.splitlines()
    assert first.startswith("mlp.pt2: ") and "float32 (brightness - mean) / std" in first
    assert "limit 0.0001" in difference and " ms; in PyTorch " in speed
