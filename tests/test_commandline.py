"""Whole commands, each in its own process, and what other processes import of the package."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mnist_zoo import __main__ as command_line
from mnist_zoo.hydra_app.arguments import SWITCHES, VALUED
from mnist_zoo.runs.interval import interval_text

ROOT = Path(__file__).parents[1]
SMALL = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "trainer=cpu")


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, *arguments]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("door", "words", "message"),
    [
        ("draw", ["no_such_one", "--out", "draw.html", "no_such_two"], "'no_such_one' is not a run folder"),
        ("explore", ["data=mnist5k", "--tsne", "0", "no_such=1"], "no_such"),
        ("lr_find", ["data=mnist5k", "--steps", "9", "no_such=1"], "no_such"),
        ("predict", ["mlp", "no_such_one.png", "--raw", "no_such_two.png"], "no_such_one.png"),
        ("status", ["no_such_one", "--watch", "no_such_two"], "no_such_one"),
    ],
)
def test_options_may_come_between_other_words(monkeypatch, capsys, door, words, message):
    monkeypatch.setattr(sys, "argv", [door, *words])
    monkeypatch.setattr("mnist_zoo.runs.watching.PATIENCE", 0)  # status --watch waits for a folder
    with pytest.raises(SystemExit, match="1"):
        importlib.import_module(f"mnist_zoo.{door}").main()
    assert message in capsys.readouterr().err


class TestOtherPrograms:
    def test_hydra_programs_of_others_import_nothing_of_ours(self):
        code = """
import sys
import hydra_plugins.mnist_zoo_resume
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
Plugins.instance()
print([name for name in sys.modules if name.partition(".")[0] in ("mnist_zoo", "torch")])
print([name for name in ("job_name", "cores", "mnist_zoo.job_name", "mnist_zoo.cores") if OmegaConf.has_resolver(name)])
"""
        done = python("-c", code)
        assert done.stdout == "[]\n[]\n", done.stderr

    def test_a_worker_process_that_receives_a_job_can_compose_it(self):
        sent = pickle.dumps(command_line.train).hex()
        code = f"""
import pickle, sys
pickle.loads(bytes.fromhex("{sent}"))
from omegaconf import OmegaConf
print(OmegaConf.has_resolver("mnist_zoo.job_name"), OmegaConf.has_resolver("mnist_zoo.cores"), "torch" in sys.modules)
"""
        assert python("-c", code).stdout == "True True False\n"


class TestWholeCommands:
    """Each in its own process, as a user types it."""

    def test_help_lists_choices_and_defaults_without_importing_torch(self):
        done = python("-X", "importtime", "-m", "mnist_zoo", "--help")
        assert done.returncode == 0
        assert "search= is for python -m mnist_zoo.search" in done.stdout, "the group of another command"
        assert "model: capsnet, cnn, cnn_2dense" in done.stdout and "batch_size: 64" in done.stdout
        assert "speed: full, none" in done.stdout
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert not imported & {"torch", "numpy"}

    def test_every_option_of_hydra_is_known(self):
        """--hydra-help lists Hydra's options. Each of them must reach Hydra."""
        done = python("-m", "mnist_zoo", "--hydra-help")
        listed = set(re.findall(r"^(--[a-z-]+)", done.stdout, re.MULTILINE))
        ours = {"--version", "--experimental-rerun"}  # our own version; a rerun would load a pickle
        assert listed - ours == {flags[0] for flags in (SWITCHES | VALUED).values()}

    def test_a_run_trains_and_tests_and_says_where_it_wrote(self, command, tmp_path):
        done = command(*SMALL, "epochs=2")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert lines.pop(0) == "mlp on mnist5k, epochs=2: loading PyTorch ..."
        assert lines[0].startswith("epoch   1 * train loss") and lines[1].startswith("epoch   2")
        (folder,) = (tmp_path / "runs").iterdir()
        metrics = json.loads((folder / "metrics.json").read_text())
        table = {line.split()[0]: line.split()[1:] for line in lines[3:7]}
        interval = interval_text(metrics["test_acc"], 1000).split()
        assert table["test"] == ["1,000", f"{metrics['test_acc']:.4f}", *interval, f"{metrics['test_loss']:.4f}"]
        assert f"run folder: {folder}" in done.stdout
        assert "_data.train_fraction=0.1,data=mnist5k,epochs=2,mod" in folder.name and len(folder.name) < 80

    @pytest.mark.slow
    def test_a_sweep_continues_after_a_job_that_fails(self, command, tmp_path):
        done = command("-m", *SMALL, "epochs=1", "optimizer=sgd", "lr=0.1,1e20", "seed=0,1")
        assert done.returncode == 1
        folders = {path.parent for path in tmp_path.rglob("status.json")}
        (sweep,) = {folder.parent for folder in folders}
        assert sweep.parent == tmp_path / "sweeps" and sweep.name.startswith("lr_seed,data.train_fraction=0.1,data=")
        states = {folder: json.loads((folder / "status.json").read_text())["state"] for folder in folders}
        assert sorted(states.values()) == ["failed", "failed", "finished", "finished"]
        assert all(("lr=1e+20" in folder.name) == (state == "failed") for folder, state in states.items())
        assert all((folder / "metrics.json").exists() == (state == "finished") for folder, state in states.items())
        assert "train_loss became nan in epoch 1 at lr=1e+20: use a lower lr" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: 2 of 4 jobs failed")
        assert "Traceback" not in done.stderr
        assert "[1/4] lr=0.1 seed=0: validation 0." in done.stdout and "best by validation: lr=0.1\n" in done.stdout
        assert not re.search(r"\btest\b", done.stdout), "it is in metrics.json and in the report"

    @pytest.mark.slow
    def test_a_killed_run_is_continued_in_its_folder(self, tmp_path):
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
        last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)  # status.json may be an epoch behind
        reached = last["epoch"] + 1
        assert not (folder / "metrics.json").exists()

        done = python("-m", "mnist_zoo", f"resume={folder}", f"epochs={reached + 2}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1].startswith(f"epoch {reached + 1:3d}")
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["epochs_run"] == reached + 2 and metrics["model"] == "mlp"


class TestPlugins:
    """What a module of a user registers are options of the command line, as those of the library are."""

    @pytest.mark.slow
    def test_a_sweep_over_networks_of_the_library_and_of_a_plug_in(self, tmp_path):
        (tmp_path / "mine.py").write_text(
            "from torch import nn\n"
            "from mnist_zoo import register_model\n"
            "@register_model\n"
            "def my_net(num_classes, in_chans, width=8):\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 784, width), nn.Linear(width, num_classes))\n"
        )
        small = ("data=mnist5k", "data.train_fraction=0.1", "trainer=cpu", "epochs=1", "logger=none")
        line = ("-m", "mnist_zoo", "-m", "plugins=[mine]", "model=mlp_128,my_net", *small)
        done = python(*line, "hydra/launcher=joblib_cores", cwd=tmp_path)  # each job in a process of its own
        assert done.returncode == 0, done.stderr
        metrics = [json.loads(path.read_text()) for path in tmp_path.rglob("metrics.json")]
        assert sorted(record["model"] for record in metrics) == ["mlp_128", "my_net"]
        done = python("-m", "mnist_zoo", "plugins=[mine]", "model=my_nte", *small, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.startswith("error: unknown model 'my_nte'; did you mean my_net?")
        done = python("-m", "mnist_zoo", "plugins=[mine]", "model=my_net", "+model.depth=2", *small, cwd=tmp_path)
        assert done.returncode == 1 and "unknown option of model 'my_net' 'depth'" in done.stderr.splitlines()[-1]
