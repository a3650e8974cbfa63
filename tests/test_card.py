"""The model card of a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from synthetic_runs import write_runs

from mnist_zoo.card import main
from mnist_zoo.errors import InputError
from mnist_zoo.report.card import TESTS, write_card
from mnist_zoo.runs import add_measurement

PROBABILITIES = {
    **{"nll": 0.05, "brier": 0.01, "ece": 0.012, "perfect_ece": 0.002},
    **{"confidence": [0.9], "accuracy": [0.95], "counts": [1000]},
}
VALUES = {
    "fgsm": {"norm": "linf", "epsilons": [0.1], "clean_accuracy": 0.99, "accuracy": [0.75], "signs": ["a sign"]},
    "masking": {"shares": [0.0, 0.5], "accuracy": [0.99, 0.65]},
    "corruptions": {"names": ["fog", "shear"], "accuracy": [0.3, 0.9], "mean": 0.6, "clean": 0.99},
    "ood": {
        "sets": {"noise": {"energy": {"auroc": 0.875, "fpr95": 0.25}}},
        "mean": {"energy": {"auroc": 0.875, "fpr95": 0.25}},
        "images": {"noise": 1000},
    },
    "calibration": {
        **{"temperature": 1.25, "plain": PROBABILITIES, "scaled": PROBABILITIES | {"ece": 0.003, "nll": 0.04}},
        **{"coverage": [1.0, 0.95], "accuracy": [0.99, 0.999], "area": 0.9995},
    },
}


@pytest.fixture
def finished(tmp_path) -> Path:
    (folder,) = write_runs(tmp_path / "sweep", 1, 1, images=300, epochs=2).iterdir()
    return folder


def measure(folder, test, images=1000, values=None, fingerprint="0" * 16):
    record = {
        **{"test": test, "version": 1, "settings": {"split": "test"}, "weights": "w", "data": "mnist"},
        **{
            "fingerprint": fingerprint,
            "images": images,
            "values": values or VALUES[test],
            "seconds": 1.0,
            "device": "cpu",
        },
        **{"versions": {}, "date": "2026-11-28"},
    }
    add_measurement(folder, f"{test}-{images}", record, {})


def test_a_card_says_what_a_run_is_and_how_to_measure_what_is_missing(finished, capsys):
    main([str(finished)])
    assert str(finished / "model_card.md") in capsys.readouterr().out
    text = (finished / "model_card.md").read_text()
    metrics = json.loads((finished / "metrics.json").read_text())
    for part in (
        "# mlp on mnist, seed 0",
        "mnist: 4,000 training, 300 validation, 300 test images, 10 classes",
        "| optimizer | adam (betas=[0.9, 0.999]) |",
        f"| test | 300 | {metrics['test_acc']:.4f} | ",
        "the test images were evaluated once",
        "(model_card.png)",
        "    python -m mnist_zoo model=mlp lr=0.001 seed=0 data=mnist\n",
        "## Limits",
    ):
        assert part in text, part
    missing = ",".join(test for test in TESTS if test != "calibration")
    assert f"    python -m mnist_zoo.evaluate {finished} --on {missing}\n" in text
    assert f"    python -m mnist_zoo.evaluate {finished} --on calibration\n" in text
    assert (finished / "model_card.png").read_bytes().startswith(b"\x89PNG")


def test_a_card_has_what_was_measured(finished):
    for test in VALUES:
        measure(finished, test)
    measure(finished, "masking", images=10, values={"shares": [0.0], "accuracy": [0.123]})
    text = write_card(finished).read_text()
    for part in (
        "| fgsm | 1,000 | FGSM: 75.00 % at epsilon 0.1; signs of masked gradients: a sign |",
        "| masking | 1,000 | masked input: 99.00 % at zeroed share 0, 65.00 % at zeroed share 0.5 |",
        "mean accuracy 60.00 % (MNIST-C), worst: fog 30.00 %, shear 90.00 %",
        "AUROC against noise (mean): energy 0.8750",
        "With the temperature 1.250, fitted on the validation images, the calibration error is 0.30 %",
        "99.90 % on the most certain 95 %",
        "Not measured: pgd, square.",
    ):
        assert part in text, part
    assert "12.30" not in text, "the measurement on fewer images"
    assert "under attack was not measured" not in text


def test_a_card_leaves_out_what_was_measured_on_other_data(finished):
    """``evaluate RUN --on fgsm data=NAME`` keeps its numbers in the same folder."""
    measure(finished, "fgsm", fingerprint="another")
    text = write_card(finished).read_text()
    assert "75.00 % at epsilon 0.1" not in text and "under attack was not measured" in text


def test_a_card_is_written_elsewhere_and_again(finished, tmp_path):
    first = write_card(finished, tmp_path / "cards" / "mine").read_text()
    assert not (finished / "model_card.md").exists()
    assert write_card(finished, tmp_path / "cards" / "mine").read_text() == first


def test_texts_of_a_run_are_no_markup(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    metrics["device"] = "<script>x</script> [a](http://b) \x1b[31m"
    (finished / "metrics.json").write_text(json.dumps(metrics))
    text = write_card(finished).read_text()
    assert "<script>" not in text and "[a](" not in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder) or write_runs(folder.parent, 2, 1, 300, 2), "holds 2 runs: name the"),
        (lambda folder: (folder / "metrics.json").unlink(), "no finished run"),
        (lambda folder: os.symlink("/dev/null", folder / "model_card.md"), "is a symbolic link"),
    ],
)
def test_what_is_no_single_run_is_one_line(finished, change, message, capsys):
    change(finished)
    source = finished.parent if "2 runs" in message else finished
    with pytest.raises(InputError, match=message):
        write_card(source)
    with pytest.raises(SystemExit):
        main([str(source)])
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
