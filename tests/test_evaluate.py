"""The evaluation of networks: the registry of tests, what is kept of a run, and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mnist_zoo import MNISTDataModule, create_model, evaluate_model
from mnist_zoo.errors import InputError
from mnist_zoo.evaluate import main
from mnist_zoo.report import write_report
from mnist_zoo.robustness import Images, Outcome, Settings, register_test, registry
from mnist_zoo.robustness.registry import chosen_tests
from mnist_zoo.runs import Damaged, DamagedFile, add_measurement, measurement_key, read_arrays, read_evaluation
from mnist_zoo.training.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Return the folder of a finished run on the embedded digits."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from mnist_zoo.hydra_app.compose import CONFIG_DIR

    folder = tmp_path_factory.mktemp("sweep") / "run"
    line = ["data=mnist5k", "data.train_fraction=0.2", "model=mlp", "model.hidden=[16]", "epochs=2", "trainer=cpu"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = OmegaConf.to_container(compose("config", [*line, "logger=none", "progress=none"]), resolve=True)
    run(cfg, folder, brief=True)
    return folder


@pytest.fixture
def finished(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "sweep" / "run"))


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    data = MNISTDataModule("mnist5k")
    return data.images("test")[:200], data.labels("test")[:200]


def evaluate(capsys, *arguments) -> tuple[int, str, str]:
    """Return exit status, output and errors of the command."""
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_run_is_measured_and_kept_and_then_skipped(finished, capsys):
    metrics = json.loads((finished / "metrics.json").read_text())
    status, out, _ = evaluate(capsys, finished, "--on", "clean")
    assert status == 0 and "measured before" not in out
    ((key, kept),) = read_evaluation(finished).items()
    assert kept["values"]["accuracy"] == metrics["test_acc"]
    assert kept["values"]["loss"] == pytest.approx(metrics["test_loss"], abs=1e-5)
    assert (kept["images"], kept["data"], kept["fingerprint"]) == (1000, "mnist5k", metrics["data_fingerprint"])
    correct = read_arrays(finished, key, kept["arrays"])["correct"]
    assert correct.mean() == metrics["test_acc"]

    before = (finished / "evaluation.json").stat().st_mtime_ns
    assert "measured before" in evaluate(capsys, finished, "--on", "clean")[1]
    assert (finished / "evaluation.json").stat().st_mtime_ns == before
    assert "measured before" not in evaluate(capsys, finished, "--on", "clean", "--force")[1]
    evaluate(capsys, finished, "--on", "clean", "--images", "50")
    assert sorted(each["images"] for each in read_evaluation(finished).values()) == [50, 1000]


def test_measurements_of_other_weights_are_removed(tmp_path):
    def add(name, weights, value):
        key = measurement_key("clean", 1, {"images": value}, weights, "")
        record = {
            **{"test": "clean", "version": 1, "settings": {"images": value}, "weights": weights, "data": "mnist"},
            **{"fingerprint": "", "images": 2, "values": {"accuracy": 0.5, "loss": 1.0}, "seconds": 1.0},
            **{"device": "cpu", "versions": {}, "date": "2026-11-28"},
        }
        add_measurement(tmp_path, key, record, {"correct": np.array([True, False])})
        return key

    first, second = add("a", "one", 1), add("b", "one", 2)
    assert set(read_evaluation(tmp_path)) == {first, second}
    third = add("c", "two", 1)
    assert set(read_evaluation(tmp_path)) == {third}
    assert read_arrays(tmp_path, third, ["correct"])["correct"].tolist() == [True, False]
    with pytest.raises(DamagedFile):
        read_arrays(tmp_path, first, ["correct"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "--on", "claen"], "unknown test 'claen'; did you mean clean?"),
        (["{run}", "--on", "clean", "--set", "clean.imagse=3"], "clean: unknown option 'imagse'; did you mean images?"),
        (["{run}", "--on", "clean", "--set", "clean.images"], "write TEST.OPTION=VALUE"),
        (["{run}", "--on", "clean", "--set", "pgdd.steps=3"], "unknown test 'pgdd'"),
        (["{run}", "--on", "clean", "--images", "0"], "images=0: it must be 1 or more"),
        (["{run}", "--on", "clean", "--seed", "-1"], "seed=-1: it must be from 0"),
        (["{run}", "--on", ","], "no test is named: choose some of "),
        (["{run}", "--on", "corruptions", "--set", "corruptions.names=[[fog]]"], "unknown corruption '['fog']'"),
        (["{tmp}/nothing", "--on", "clean"], "is not a run folder, a file, or a name with shipped weights"),
        (["{tmp}", "--on", "clean"], "holds no run"),
        (["cnn", "--on", "clean", "--data-root", "{tmp}"], "MNIST"),
    ],
)
def test_a_mistake_is_one_line(finished, tmp_path, capsys, arguments, message):
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [word.format(run=finished, tmp=empty) for word in arguments]
    status, _, err = evaluate(capsys, *filled)
    assert status != 0
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_in_a_sweep_the_damaged_runs_are_named_and_the_others_measured(finished, capsys):
    for name, file in (("a", "checkpoints/best.ckpt"), ("b", "metrics.json"), ("c", None)):
        other = Path(shutil.copytree(finished, finished.parent / name))
        if file is None:
            (other / "evaluation.json").write_text('{"measurements": {"clean-1": {}}}')
        elif file == "metrics.json":
            (other / file).unlink()
        else:
            content = bytearray((other / file).read_bytes())
            content[len(content) // 2] ^= 255
            (other / file).write_bytes(content)
    status, _, err = evaluate(capsys, finished.parent, "--on", "clean")
    assert status == 1
    assert [line.split(":")[0] for line in err.splitlines()] == ["skipped"] * 3 + ["error"]
    assert "is damaged" in err and "b is not finished" in err and "evaluation.json is damaged" in err
    assert len(read_evaluation(finished)) == 1


@pytest.mark.parametrize("change", ['{"measurements": []}', '{"measurements": {"clean-1": 3}}', "[", "{}"])
def test_a_damaged_record_is_named_and_force_replaces_it(finished, capsys, change):
    (finished / "evaluation.json").write_text(change)
    status, _, err = evaluate(capsys, finished, "--on", "clean")
    assert status == 1 and "evaluation.json is damaged" in err
    assert evaluate(capsys, finished, "--on", "clean", "--force")[0] == 0
    assert len(read_evaluation(finished)) == 1


def test_a_continued_run_loses_what_was_measured_of_its_old_weights(finished, capsys):
    from mnist_zoo.runs import RunFolder

    evaluate(capsys, finished, "--on", "clean")
    with RunFolder(finished) as folder:
        folder.reopen()
    assert not list(finished.glob("evaluation.*"))


def test_the_images_must_be_those_of_the_run(finished, capsys):
    metrics = json.loads((finished / "metrics.json").read_text())
    (finished / "metrics.json").write_text(json.dumps(metrics | {"data_fingerprint": "0" * 16}))
    status, _, err = evaluate(capsys, finished, "--on", "clean")
    assert status == 1 and "are not those that" in err


def test_sources_of_one_name_do_not_replace_each_others_results(finished, tmp_path, capsys):
    other = Path(shutil.copytree(finished, tmp_path / "other" / "run"))
    status, _, err = evaluate(capsys, finished, other, "--on", "clean", "--out", tmp_path / "out")
    assert status == 1 and "two sources are named run" in err
    other = other.rename(other.parent / "second")
    assert evaluate(capsys, finished, other, "--on", "clean", "--out", tmp_path / "out")[0] == 0
    assert all(len(read_evaluation(tmp_path / "out" / name)) == 1 for name in ("run", "second"))
    assert read_evaluation(finished) == {}


@pytest.mark.parametrize("more", [(), ("--ensemble",)])
def test_results_of_other_weights_are_not_replaced_without_force(finished, tmp_path, capsys, more):
    arguments = (finished, "--on", "clean", "--out", tmp_path / "out", *more)
    assert evaluate(capsys, *arguments)[0] == 0
    file = tmp_path / "out" / "evaluation.json"
    (held,) = read_evaluation(file.parent).values()
    file.write_text(before := file.read_text().replace(held["weights"], "0" * len(held["weights"])))
    status, _, err = evaluate(capsys, *arguments)
    assert status == 1 and f"out holds results of {held['network']} with other weights: name another folder" in err
    assert file.read_text() == before
    assert evaluate(capsys, *arguments, "--force")[0] == 0
    assert next(iter(read_evaluation(file.parent).values()))["weights"] == held["weights"]


def test_an_ensemble_has_the_mean_probabilities(finished, pair, tmp_path, capsys):
    out = tmp_path / "out"
    again = finished.parent / ".." / finished.parent.name / finished.name
    status, printed, _ = evaluate(capsys, finished, again, "--on", "clean", "--ensemble", "--out", out)
    assert status == 0 and "ensemble of 1" in printed, "the same source counts once"
    evaluate(capsys, finished, "--on", "clean")
    one, same = (next(iter(read_evaluation(folder).values()))["values"] for folder in (finished, out))
    assert one["loss"] == pytest.approx(same["loss"], rel=1e-5)


@pytest.mark.slow
def test_the_report_shows_an_ensemble_beside_the_runs(finished, capsys):
    sweep = finished.parent
    Path(shutil.copytree(finished, sweep / "second"))
    evaluate(capsys, sweep, "--on", "calibration")
    for name, on in (("pair", "calibration,ood"), ("damaged", "calibration")):
        arguments = (*(sweep / each for each in ("run", "second")), "--on", on, "--ensemble", "--out", sweep / name)
        assert evaluate(capsys, *arguments)[0] == 0
    (sweep / "damaged" / "evaluation.json").write_text("{}")
    damaged = Damaged()
    write_report([sweep], damaged=damaged)
    assert {folder.name for folder in damaged.folders} == {"damaged"}
    lines = (sweep / "report" / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ensemble of 2 \\(pair\\)") or "ensemble of 2 (pair) |" in line]
    assert any("disagreement" in row for row in rows) and len(rows) == 5, "four scores of ood, and calibration"


def test_any_network_is_measured_and_left_as_it_was(pair):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    model[2].bias.requires_grad_(False)
    outcome = evaluate_model(model, pair, on=["clean"], images=100)["clean"]
    assert model.training and model[2].weight.requires_grad and not model[2].bias.requires_grad
    with torch.no_grad():
        expected = model.eval()(pair[0][:100].float() / 255).argmax(1) == pair[1][:100]
    assert outcome.arrays["correct"].tolist() == expected.tolist()
    assert outcome.values["accuracy"] == pytest.approx(expected.float().mean().item())


def test_the_normalisation_of_the_data_module_is_used():
    data, model = MNISTDataModule("mnist5k"), create_model("mlp")
    found = evaluate_model(model, data, on=["clean"])["clean"].arrays["correct"]
    with torch.no_grad():
        logits = torch.cat([model(batch) for batch, _ in data.test_dataloader()])
    assert found.tolist() == (logits.argmax(1) == data.labels("test")).tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.zeros(3, 1, 32, 32, dtype=torch.uint8), torch.zeros(3).long()), "does not take images of size 1x32x32"),
        ((torch.zeros(3, 1, 28, 28), torch.zeros(3).long()), "images must be uint8"),
        ((torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.zeros(2).long()), "labels must be integers"),
        ((torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([10])), "10 classes, and a label is 10"),
        ((torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([-1])), "from 0, not torch.int64 .1,. from -1"),
        (3, "data must be an MNISTDataModule, or a pair"),
    ],
)
def test_images_that_cannot_be_measured_are_refused(data, message):
    with pytest.raises(InputError, match=message):
        evaluate_model(create_model("mlp"), data, on=["clean"])


@pytest.mark.parametrize("name", ["clean", "calibration", "corruptions", "fgsm", "pgd", "square", "masking"])
def test_an_output_that_is_nan_for_a_later_image_only_is_named(name):
    class NotANumber(nn.Module):
        def forward(self, pixels):
            return pixels.flatten(1)[:, :10] / (pixels.amax((1, 2, 3)) > 0)[:, None]  # 0 / 0 for black images

    images, labels = torch.full((9, 1, 28, 28), 200, dtype=torch.uint8), torch.zeros(9).long()
    images[5] = 0
    data = Images(images, labels, images, labels)
    with pytest.raises(InputError, match="NotANumber: the output of the network is NaN or infinite"):
        evaluate_model(NotANumber(), data, on=[name])


def test_a_test_that_cannot_be_run_does_not_stop_those_after_it(finished, capsys):
    status, out, errors = evaluate(capsys, finished, "--on", "ood,clean", "--set", "ood.sets=[kmnist]")
    assert status == 1 and "clean: accuracy" in out and errors.count("\n") == 1 and "ood: kmnist: " in errors
    (kept,) = read_evaluation(finished).values()
    assert kept["test"] == "clean"
    status, _, errors = evaluate(capsys, finished, "--on", "clean,calibration", "--split", "val")
    assert status == 1 and "calibration: " in errors and len(read_evaluation(finished)) == 1, "nothing was measured"


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "a value is invalid"), (np.float32(1), "is invalid")])
def test_values_that_could_not_be_read_again_are_not_kept(finished, monkeypatch, capsys, value, shown):
    monkeypatch.setattr(registry, "_TESTS", dict(registry._TESTS))
    register_test("odd", str)(lambda subject, images, settings, progress: Outcome({"mean": value}))
    status, _, errors = evaluate(capsys, finished, "--on", "clean,odd", "--images", "20")
    assert status == 1 and errors.count("\n") == 1
    assert "what odd measured cannot be kept: " in errors and shown in errors
    assert [each["test"] for each in read_evaluation(finished).values()] == ["clean"], "the others are not lost"


def test_a_test_of_your_own_gets_its_settings(pair, monkeypatch):
    monkeypatch.setattr(registry, "_TESTS", dict(registry._TESTS))

    @register_test("brightness", lambda values: f"{values['mean']:.3f}")
    def brightness(subject, images, settings, progress) -> Outcome:
        pixels, _ = images.split(settings.split, settings.images)
        return Outcome({"mean": pixels.double().mean().item() / 255, "seed": settings.seed})

    found = evaluate_model(create_model("mlp"), pair, on=["brightness"], images=20, seed=3)["brightness"]
    assert found.values == {"mean": pytest.approx(pair[0][:20].double().mean().item() / 255), "seed": 3}
    with pytest.raises(InputError, match="already registered"):
        register_test("brightness", str)(brightness)
    assert chosen_tests(["brightness"], {}, {"images": 5})[0][1] == Settings(images=5)
