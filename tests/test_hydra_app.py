"""``python -m mnist_zoo`` as a user types it, each time in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.commandline import job_name, prepare
from mnist_zoo.training.settings import check_value

ROOT = Path(__file__).parents[1]
SMALL = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "trainer=cpu")


def test_the_main_job_trains_tests_and_says_where_things_are(command, tmp_path):
    done = command(*SMALL, "epochs=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch   1 * train loss") and lines[1].startswith("epoch   2")
    (folder,) = (tmp_path / "runs").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    table = {line.split()[0]: line.split()[1:] for line in lines[3:7]}
    assert table["test"] == ["1,000", f"{metrics['test_acc']:.4f}", f"{metrics['test_loss']:.4f}"]
    assert f"run folder: {folder}" in done.stdout
    assert folder.name.endswith("_data.train_fraction=0.1,data=mnist5k,epochs=2,model=mlp,trainer=cpu")
    assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text())[:1] == ["data=mnist5k"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=resnet19"], "unknown model 'resnet19'; did you mean resnet18? known: cnn, "),
        (["data=mnst"], "unknown data 'mnst'; did you mean mnist"),
        (["lrr=1"], "unknown setting 'lrr'; did you mean lr? known: lr, batch_size, "),
        (["model.dens=3"], "unknown setting of model 'dens'; did you mean dense?"),
        (["dropout=0.3"], "unknown setting 'dropout'; did you mean model.dropout?"),
        (["-m", "model=mlp,lenet", "lr=0.1"], "unknown model 'lenet'; did you mean lenet5"),
        (["-m", "lr=0.1,-1"], "lr=-1: it must be above 0"),
        (["-m", "model=mlp,cnn", "lrr=1,2"], "unknown setting 'lrr'; did you mean lr?"),
        (["model"], "'model' is not an override: write key=value"),
        (["--foo"], "unrecognized arguments: --foo; see --help"),
        (["model=custom"], "model.name has no value: add model.name=..."),
        (["search=dropout"], "search= is of another command: python -m mnist_zoo.search search=NAME"),
        (["-m", "--cfg", "job", "model=mlp"], "--multirun and --cfg cannot go together: --cfg and --info show"),
        (["--resolve"], "--resolve says how to show a config: add --cfg job"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line_before_anything_starts(command, tmp_path, arguments, message):
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert done.stdout == "" and not list(tmp_path.rglob("status.json")), "nothing half-written"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lr", 0, "lr=0: it must be above 0"),
        ("lr", "abc", "lr=abc: it must be a number"),
        ("lr", float("nan"), "lr=nan: it must be a number"),
        ("lr", True, "lr=True: it must be a number"),
        ("batch_size", 0, "batch_size=0: it must be 1 or more"),
        ("batch_size", 2.5, "batch_size=2.5: it must be a whole number"),
        ("epochs", 0, "epochs=0: it must be 1 or more"),
        ("seed", -1, "seed=-1: it must be 0 or more"),
        ("ema", 1.5, "ema=1.5: it must be 0.99999 or less"),
        ("early_stop.monitor", "acc", "early_stop.monitor=acc: it must be one of val_acc"),
        ("data.val_size", 1.5, "data.val_size=1.5: a share must be below 1"),
        ("data.train_fraction", 0, "data.train_fraction=0: it must be above 0"),
    ],
)
def test_every_value_is_checked_before_torch_is_imported(key, value, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        check_value(key, value)


@pytest.mark.parametrize(
    ("key", "value"), [("ema", None), ("early_stop.monitor", None), ("lr", 2e-4), ("data.val_size", 5000), ("x", "y")]
)
def test_and_good_values_pass(key, value):
    check_value(key, value)


def test_errors_found_late_are_one_line_too(command):
    done = command("data=csv", "data.train_csv=nowhere.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "error: there is no file nowhere.csv: name the CSV with data.train_csv=FILE and data.test_csv=FILE\n"
    )


def test_an_unwritable_output_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    line = [sys.executable, "-m", "mnist_zoo", *SMALL, f"output_dir={tmp_path / 'file'}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {tmp_path / 'file'}/runs")
    assert "choose another folder with output_dir=DIR" in done.stderr and done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(command):
    done = command("lr=-1", "debug=true")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_help_lists_choices_and_defaults_without_importing_torch(command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mnist_zoo", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "search= is of python -m mnist_zoo.search" in done.stdout, "the one group that is another command's"
    assert "model: cnn, cnn_2dense" in done.stdout and "batch_size: 64" in done.stdout
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip() in ("torch", "numpy")]


def test_a_sweep_goes_on_after_a_job_that_fails(command, tmp_path):
    done = command("-m", *SMALL, "epochs=1", "optimizer=sgd", "lr=0.1,1e20,0.01", "seed=0,1")
    assert done.returncode == 1
    states = {path.parent.name: json.loads(path.read_text())["state"] for path in tmp_path.rglob("status.json")}
    assert sorted(states.values()) == ["failed", "failed", *["finished"] * 4]
    assert all(("lr=1e+20" in name) == (state == "failed") for name, state in states.items())
    assert {path.parent.name for path in tmp_path.rglob("metrics.json")} == {
        n for n in states if states[n] == "finished"
    }
    assert {path.parent.parent for path in tmp_path.rglob("status.json")} == {tmp_path / "sweeps/lr_seed"}
    assert "train_loss became nan in epoch 1 at lr=1e+20: lower lr" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 2 of 6 jobs failed")
    assert "Traceback" not in done.stderr


def test_a_killed_run_is_continued_in_its_folder(command, tmp_path):
    folder = tmp_path / "a run, named=oddly"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "mnist_zoo", *SMALL, "epochs=400", f"hydra.run.dir='{folder}'"]
    process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints/previous.ckpt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["epoch"] + 1  # status.json may be behind
    assert not (folder / "metrics.json").exists()

    done = subprocess.run(
        [sys.executable, "-m", "mnist_zoo", f"resume={folder}", f"epochs={reached + 2}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"epoch {reached + 1:3d}")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epochs_run"] == reached + 2 and metrics["model"] == "mlp"


class TestResumeRefuses:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["resume=nowhere"], "resume=nowhere: there is no such folder"),
            (["resume=."], "resume=.: this is not a run folder"),
            (["-m", "resume=.", "lr=1,2"], "resume continues one run"),
        ],
    )
    def test_what_is_no_run(self, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=message):
            prepare(arguments)


class TestJobNames:
    @pytest.mark.parametrize(
        ("overrides", "name"),
        [
            (["model=mlp", "lr=0.1"], "lr=0.1,model=mlp"),
            (["lr=0.1", "model=mlp"], "lr=0.1,model=mlp"),
            ([], "defaults"),
            (["seed=1", "output_dir=/x/y", "sweep=s", "progress=none", "hydra.run.dir=z"], "seed=1"),
            (["+model.width=3"], "model.width=3"),
        ],
    )
    def test_are_the_sorted_overrides(self, overrides, name):
        assert job_name(overrides) == name

    @pytest.mark.parametrize("override", ["data.root=/a/b", "model.hidden=[1,2]", "x=" + "y" * 300, "x=ü", "x=a b"])
    def test_are_safe_and_short_and_still_differ(self, override):
        name = job_name([override])
        assert len(name) <= 120 and name.isascii() and not set(name) & set("/\\:*?\"<>|[] '")
        assert name != job_name([override + "1"])


class TestSweepNames:
    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["-m", "model=mlp,cnn", "lr=1,2", "epochs=3"], "lr_model"),
            (["-m", "lr=1,2,3", "model=mlp,cnn"], "lr_model"),
            (["-m", "model=mlp"], "single"),
            (["-m", "lr=1,2", "sweep=mine"], "mine"),
        ],
    )
    def test_a_sweep_keeps_its_name_when_values_are_added(self, arguments, name):
        assert f"sweep={name}" in prepare(arguments)
