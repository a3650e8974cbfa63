"""A sweep continues where it stopped, names what changed, and never mixes two settings."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from mnist_zoo.data import load_data
from mnist_zoo.errors import InputError, StorageError
from mnist_zoo.hydra_app import plan as plan_module
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.launching import Failed
from mnist_zoo.hydra_app.names import NAME_LENGTH, former_job_name, job_name
from mnist_zoo.hydra_app.overrides import parse
from mnist_zoo.hydra_app.places import default_sweep
from mnist_zoo.hydra_app.plan import Current, write_job_record
from mnist_zoo.hydra_app.sweep import SweepFailed, run_sweep
from mnist_zoo.runs import RunFolder, in_use, read_curves, read_metrics, read_sweep
from mnist_zoo.runs.identity import comparable
from mnist_zoo.runs.status import run_status

ROOT = Path(__file__).parents[1]
JOBS = [["data=mnist5k", f"lr={lr}"] for lr in (0.1, 0.2, 0.3)]
RECORD = json.loads((ROOT / "tests/fixtures/0.1.0/run/metrics.json").read_text())
FINGERPRINT = "0123456789abcdef"
ONE_PROCESS = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
STACKED = "hydra_plugins.mnist_zoo_stacked.StackedLauncher"


@cache
def composed(*overrides: str) -> dict:
    """The configuration of the overrides; to compose one takes a tenth of a second."""
    return compose_config(overrides)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Grid:
    """A sweep whose jobs do not train: it tests only which jobs are run."""

    def __init__(self, place: Path, monkeypatch):
        self.place = place
        self.launched: list[str] = []
        self.broken: set[str] = set()
        self.unwritten: set[str] = set()  # jobs that end before they write anything
        self.raised: BaseException | None = None  # by the launcher, at the second job
        self.kind, self.at_once = ONE_PROCESS, 64
        self.composed = 0
        monkeypatch.setattr("mnist_zoo.data.load_data", lambda cfg: type("Data", (), {"fingerprint": FINGERPRINT}))
        monkeypatch.setattr("mnist_zoo.stacked.loaded.load_data", load_data)  # a stack trains on images

    def run(self, jobs=JOBS, *overrides: str) -> list[float]:
        self.launched, self.extra = [], overrides
        cfg = OmegaConf.create(composed(*overrides) | {"hydra": self.hydra()})
        return run_sweep(cfg, jobs, self.compose, self.launch)

    def hydra(self) -> dict:
        launcher = {"_target_": self.kind, "submitit_folder": str(self.place / ".submitit"), "at_once": self.at_once}
        return {"sweep": {"dir": str(self.place)}, "launcher": launcher}

    def compose(self, overrides):
        self.composed += 1
        return OmegaConf.create(composed(*overrides, *self.extra) | {"hydra": {}})

    def launch(self, jobs, first):
        for job in jobs:
            renamed = [word.split("=", 1)[1].strip("'") for word in job if word.startswith("hydra.sweep.subdir=")]
            name = renamed[0] if renamed else job_name(job)
            if self.raised is not None and len(self.launched) == 1:
                raise self.raised
            self.launched.append(name)
            if name in self.unwritten:
                continue
            job = [word for word in job if not word.startswith("hydra.")]
            with RunFolder(self.place / name) as folder:
                write_job_record(folder.path, job)
                folder.start(
                    config=comparable(composed(*job, *self.extra)),
                    version=plan_module.__version__,
                    data_fingerprint=FINGERPRINT,
                    epoch=3,
                    epochs=10,
                )
                if name in self.broken:
                    folder.update(state="failed", reason="DivergedError: train_loss became nan")
                    continue
                lr = float(job[1].split("=")[1])
                folder.finish(RECORD | {"val_acc": lr, "epochs": 10}, {})


@pytest.fixture
def grid(tmp_path, monkeypatch):
    return Grid(tmp_path / "grid", monkeypatch)


class TestPlan:
    def test_the_same_command_runs_nothing_and_returns_the_same(self, grid):
        assert grid.run() == [0.1, 0.2, 0.3] and len(grid.launched) == 3
        grid.composed = 0
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == []
        assert grid.composed == 1, "one job, to load the data"

    def test_a_larger_grid_runs_only_the_new_jobs(self, grid):
        grid.run(JOBS[:2])
        assert grid.run(JOBS) == [0.1, 0.2, 0.3]
        assert grid.launched == [job_name(JOBS[2])]
        assert len(read_sweep(grid.place)) == 3

    def test_a_failed_job_is_run_again_and_the_sweep_says_why_it_failed(self, grid, capsys):
        grid.broken = {job_name(JOBS[1])}
        with pytest.raises(SweepFailed, match="1 of 3 jobs failed"):
            grid.run()
        assert "train_loss became nan" in capsys.readouterr().out
        grid.broken = set()
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == [job_name(JOBS[1])]

    def test_a_job_that_another_process_runs_is_left_to_it(self, grid, capsys):
        grid.run()
        folder = grid.place / job_name(JOBS[0])
        (folder / "metrics.json").unlink()
        hold = (
            f"from mnist_zoo.runs import RunFolder\nwith RunFolder({str(folder)!r}): print('held', flush=True); input()"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", hold], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout.readline() == "held\n" and in_use(folder)
        objectives = grid.run()
        other.communicate("\n")
        assert grid.launched == [] and math.isnan(objectives[0])
        assert "2 finished, 1 run by another process" in capsys.readouterr().out
        assert not in_use(folder)


def test_an_interpolation_may_have_another_value_now(tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_zoo.data.load_data", lambda cfg: type("Data", (), {"fingerprint": FINGERPRINT}))
    words = ["data=mnist5k", "pretrained=${oc.env:WEIGHTS}"]
    monkeypatch.setenv("WEIGHTS", "old.ckpt")
    write_job_record(tmp_path, words)
    status = {"config": comparable(compose_config(words)), "version": plan_module.__version__}
    current = Current(lambda given: OmegaConf.create(compose_config(given)))
    assert current.changes(words, tmp_path, status | {"data_fingerprint": FINGERPRINT}) == []
    monkeypatch.setenv("WEIGHTS", "new.ckpt")
    assert current.changes(words, tmp_path, status | {"data_fingerprint": FINGERPRINT}) == [
        "pretrained: old.ckpt -> new.ckpt"
    ]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "run folder"])
def test_pretrained_weights_of_the_same_name_may_have_changed(tmp_path, monkeypatch, folder):
    monkeypatch.setattr("mnist_zoo.data.load_data", lambda cfg: type("Data", (), {"fingerprint": FINGERPRINT}))
    source = tmp_path / ("run" if folder else "w.ckpt")
    weights = source / "checkpoints" / "best.ckpt" if folder else source
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"weights")
    words = ["data=mnist5k", f"pretrained={source}"]
    write_job_record(tmp_path, words)
    config = comparable(compose_config(words))
    status = {"config": config, "version": plan_module.__version__, "data_fingerprint": FINGERPRINT}
    current = Current(lambda given: OmegaConf.create(compose_config(given)))
    assert current.changes(words, tmp_path, status) == []
    weights.write_bytes(b"other weights")
    (change,) = current.changes(words, tmp_path, status)
    assert change.startswith(f"pretrained_content: {config['pretrained_content']} -> ")
    earlier = {key: value for key, value in config.items() if key != "pretrained_content"}
    assert current.changes(words, tmp_path, status | {"config": earlier}) == [], "versions up to 0.2.0 do not record it"


class TestFailures:
    """Each job that was launched has a result, or it failed and the sweep says why."""

    @pytest.mark.parametrize("kind", [ONE_PROCESS, JOBLIB])
    def test_a_job_that_never_wrote_anything_failed(self, grid, capsys, kind):
        grid.kind, grid.unwritten = kind, {job_name(JOBS[1])}
        with pytest.raises(SweepFailed, match="1 of 3 jobs failed; the same command runs them again"):
            grid.run()
        shown = capsys.readouterr()
        assert f"failed:\n  {job_name(JOBS[1])}\n      it never started\n" in shown.out
        assert shown.err == f"error: {job_name(JOBS[1])}: it never started\n"

    def test_a_full_disk_is_the_reason_of_its_job_only(self, grid, capsys):
        grid.raised = OSError(28, "No space left on device")
        with pytest.raises(SweepFailed, match="2 of 3 jobs failed"):
            grid.run()
        assert capsys.readouterr().out.count("OSError: [Errno 28] No space left on device") == 2

    def test_a_killed_worker_process_fails_the_jobs_without_a_result(self, grid, capsys):
        grid.kind, grid.raised = JOBLIB, RuntimeError("a worker was killed\nlong explanation")
        with pytest.raises(SweepFailed, match="2 of 3 jobs failed"):
            grid.run()
        shown = capsys.readouterr()
        assert shown.out.count("RuntimeError: a worker was killed\n") == 2 and "long explanation" not in shown.out
        assert "[1/3] lr=0.1: validation 0.1000" in shown.out, "the finished job is shown"

    def test_the_reason_of_an_earlier_attempt_is_not_repeated(self, grid, capsys):
        grid.broken = {job_name(JOBS[0])}
        with pytest.raises(SweepFailed):
            grid.run()
        grid.broken, grid.unwritten = set(), {job_name(JOBS[0])}
        capsys.readouterr()
        with pytest.raises(SweepFailed):
            grid.run()
        shown = capsys.readouterr().out
        assert "it never started" in shown and "became nan" not in shown

    def test_a_reason_that_could_not_be_written_is_brought_back_by_the_launcher(self, grid, capsys):
        def launch(jobs, first):
            return [SimpleNamespace(return_value=pickle.loads(pickle.dumps(Failed("StorageError: disk full"))))]

        grid.launch = launch
        with pytest.raises(SweepFailed, match="3 of 3 jobs failed"):
            grid.run()
        assert capsys.readouterr().out.count("StorageError: disk full") == 3

    @pytest.mark.parametrize("message", ["", "interrupted; the last whole epoch is in x"])
    def test_ctrl_c_says_what_is_finished_and_how_to_continue(self, grid, capsys, message):
        grid.raised = KeyboardInterrupt(message)
        with pytest.raises(KeyboardInterrupt) as caught:
            grid.run()
        assert str(caught.value) == f"{message or 'interrupted'}; the same command continues the sweep"
        out = capsys.readouterr().out
        assert "not finished: 2 of 3 jobs" in out and "best by validation: lr=0.1\n" in out and "failed" not in out
        grid.raised = None
        assert grid.run() == [0.1, 0.2, 0.3] and len(grid.launched) == 2

    def test_a_disk_that_cannot_be_written_is_one_line(self, grid, tmp_path):
        grid.place = tmp_path / "file" / "sweep"
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StorageError, match=r"cannot write .*file"):
            grid.run()
        assert grid.launched == []

    def test_slurm_without_srun_is_one_line_before_anything_is_written(self, grid, monkeypatch):
        monkeypatch.setenv("PATH", "")
        grid.kind = SLURM
        with pytest.raises(InputError, match=r"there is no srun on this machine: .* hydra/launcher=local_processes"):
            grid.run()
        assert not grid.place.exists()


class TestPlanning:
    @pytest.mark.parametrize("word", ["lr=-1", "early_stop.patience=9"])
    def test_an_invalid_job_stops_the_sweep_before_its_first_job(self, grid, word):
        with pytest.raises(InputError, match=word):
            grid.run([JOBS[0], ["data=mnist5k", word]])
        assert grid.launched == [] and not grid.place.exists()

    def test_what_takes_seconds_is_announced(self, grid, capsys):
        grid.run()
        assert "comparing" not in capsys.readouterr().out, "a small new sweep starts at once"
        grid.run()
        assert capsys.readouterr().out.startswith(f"sweep {grid.place}: comparing its 3 jobs with what is there ...")


class TestDamage:
    @pytest.mark.parametrize("damage", ["", "{", "[1]", '{"val_acc": NaN}'])
    def test_a_job_with_damaged_metrics_is_named_and_run_again(self, grid, capsys, damage):
        grid.run()
        path = grid.place / job_name(JOBS[0]) / "metrics.json"
        path.write_text(damage)
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == [job_name(JOBS[0])]
        assert capsys.readouterr().err.startswith(f"warning: {path} is damaged (")

    def test_a_job_without_its_predictions_is_run_again(self, grid, capsys):
        grid.run()
        path = grid.place / job_name(JOBS[0]) / "predictions.npz"
        path.unlink()
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == [job_name(JOBS[0])]
        assert capsys.readouterr().err.startswith(f"warning: {path} is damaged (there is no such file)")

    @pytest.mark.parametrize("content", ["{", '{"state": "finished"}', None])
    def test_a_result_whose_settings_are_not_known_stops_the_sweep(self, grid, content):
        grid.run()
        path = grid.place / job_name(JOBS[0]) / "status.json"
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(InputError, match=r"its settings are not known: status.json .*choose on_change=rerun"):
            grid.run()
        assert grid.launched == []
        assert grid.run(JOBS, "on_change=keep") == [0.1, 0.2, 0.3] and grid.launched == []
        assert grid.run(JOBS, "on_change=rerun") == [0.1, 0.2, 0.3] and grid.launched == [job_name(JOBS[0])]

    @pytest.mark.parametrize(
        ("word", "extra", "at_once", "message"),
        [
            ("model=mlp", "ema=0.9", 64, "cannot train ema=0.9"),
            ("model=cnn_dropout", "seed=0", 64, "cannot train model=cnn_dropout with dropout"),
            ("model=mlp", "seed=0", 0, r"hydra.launcher.at_once=0: it must be an integer of 1 or more"),
        ],
    )
    def test_nothing_is_lost_if_the_stacked_launcher_refuses_jobs(
        self, grid, monkeypatch, word, extra, at_once, message
    ):
        jobs = [[*JOBS[0], word]]
        grid.run(jobs)
        monkeypatch.setattr(plan_module, "__version__", "9.9")
        before = contents(grid.place)
        grid.kind, grid.at_once = STACKED, at_once
        with pytest.raises(InputError, match=message):
            grid.run(jobs, extra, "on_change=rerun")
        assert contents(grid.place) == before and grid.launched == []

    @pytest.mark.parametrize(
        ("name", "content"), [("metrics.json", None), ("metrics.json", "{"), ("predictions.npz", None)]
    )
    def test_the_stacked_launcher_refuses_a_job_that_has_begun(self, grid, monkeypatch, name, content):
        grid.run(JOBS[:1])
        folder = RunFolder(grid.place / job_name(JOBS[0]))
        path = folder.path / name
        path.unlink() if content is None else path.write_text(content)
        folder.last_checkpoint.parent.mkdir()
        folder.last_checkpoint.touch()
        before = contents(grid.place)
        grid.kind = STACKED
        with pytest.raises(InputError, match="it has a checkpoint, and a stack starts anew"):
            grid.run(JOBS[:1])
        assert contents(grid.place) == before and grid.launched == []
        monkeypatch.setattr(plan_module, "__version__", "9.9")
        grid.run(JOBS[:1], "on_change=rerun")
        assert len(grid.launched) == 1 and not folder.last_checkpoint.exists()

    def test_an_unfinished_job_with_a_damaged_status_continues(self, grid):
        """Its checkpoints know the settings, and training compares them."""
        grid.run()
        folder = grid.place / job_name(JOBS[0])
        (folder / "metrics.json").unlink()
        (folder / "status.json").write_text('{"state": 7}')
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == [job_name(JOBS[0])]

    def test_a_damaged_job_record_leads_to_a_comparison_of_all_settings(self, grid):
        grid.run()
        for job in JOBS[:2]:
            (grid.place / job_name(job) / "job.json").write_text("{")
        grid.composed = 0
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == []
        assert grid.composed == 2, "these jobs; the third one is known not to have changed"


class TestFolders:
    LONG = ["data=mnist5k", "lr=0.1", "model=mlp", "model.hidden=[100,100]", "data.train_fraction=0.05", "trainer=cpu"]

    def test_a_folder_with_the_longer_name_of_earlier_versions_is_found(self, grid):
        former = former_job_name(self.LONG)
        assert len(former) > NAME_LENGTH and former != job_name(self.LONG)
        grid.run([self.LONG])
        (grid.place / job_name(self.LONG)).rename(grid.place / former)
        assert grid.run([self.LONG]) == [0.1] and grid.launched == []

    def test_an_unfinished_job_continues_in_the_folder_that_was_found(self, grid):
        former = former_job_name(self.LONG)
        grid.run([self.LONG])
        (grid.place / job_name(self.LONG)).rename(grid.place / former)
        (grid.place / former / "metrics.json").unlink()
        assert grid.run([self.LONG]) == [0.1] and grid.launched == [former]
        assert not (grid.place / job_name(self.LONG)).exists()

    def test_a_folder_of_any_name_is_known_by_the_overrides_in_it(self, grid):
        grid.run()
        folder = (grid.place / job_name(JOBS[0])).rename(grid.place / "my best run")
        (folder / ".hydra").mkdir()
        (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump([*JOBS[0], "sweep=s", "progress=none"]))
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == []

    @pytest.mark.parametrize(
        ("command", "name"),
        [
            (["model=mlp,cnn", "data=mnist5k", "epochs=1"], "model"),
            (["model=mlp,cnn,lenet5", "epochs=1", "data=mnist5k", "progress=none"], "model"),
            (["model=mlp,cnn", "epochs=10"], "model,epochs=10"),
            (["model=mlp,cnn"], "model"),
        ],
    )
    def test_a_sweep_of_an_earlier_version_continues_and_another_one_gets_a_folder_of_its_own(
        self, tmp_path, command, name
    ):
        for model in ("mlp", "cnn"):
            folder = tmp_path / "model" / f"data=mnist5k,epochs=1,model={model}"
            folder.mkdir(parents=True)
            write_job_record(folder, ["data=mnist5k", "epochs=1", f"model={model}"])
        if name == "model" and len(command) == 1:
            shutil.rmtree(tmp_path / "model")
        assert default_sweep(parse(command), tmp_path) == name

    def test_the_keys_of_an_experiment_are_swept_too(self, tmp_path):
        folder = tmp_path / "dropout" / "a job"
        folder.mkdir(parents=True)
        write_job_record(folder, ["experiment=dropout", "epochs=1", "model=cnn", "seed=0"])
        command = parse(["experiment=dropout", "epochs=1", "seed=0,1"])
        assert default_sweep(command, tmp_path, ["model"]) == "dropout"
        assert default_sweep(command, tmp_path, []) == "dropout,epochs=1"


class TestVersion010:
    """The sweep in tests/fixtures/0.1.0 was made by version 0.1.0."""

    @pytest.fixture
    def old(self, tmp_path):
        shutil.copytree(ROOT / "tests/fixtures/0.1.0/sweeps/pair", tmp_path / "pair")
        return tmp_path / "pair"

    def plan(self, place: Path, *overrides: str) -> list[float]:
        """Plan the command that made the sweep; no job may be launched."""
        command = ["data=mnist5k", "model=mlp", "model.hidden=[4]", "data.train_fraction=0.05", "epochs=2"]
        command += ["trainer=cpu", "lr=0.01", "sweep=pair", "output_dir=outputs"]
        cfg = OmegaConf.create(composed(*overrides) | {"hydra": {"sweep": {"dir": str(place)}}})

        def compose(job):
            return OmegaConf.create(composed(*job) | {"hydra": {}})

        return run_sweep(cfg, [command], compose, launch=lambda jobs, first: pytest.fail(f"launched {jobs}"))

    def test_only_its_version_has_changed(self, old):
        with pytest.raises(InputError, match=r"made with other settings \(mnist_zoo: 0\.1\.0 -> [\d.]+\): choose on_c"):
            self.plan(old)

    def test_its_results_can_be_kept(self, old, capsys):
        (folder,) = old.glob("data*")
        assert self.plan(old, "on_change=keep") == [read_metrics(folder)["val_acc"]]
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"sweep {old}: comparing its 1 job with what is there ...", f"sweep {old}: 1 kept"]
        assert read_sweep(old) == [folder.name]


class TestChanges:
    def test_other_settings_stop_the_sweep_before_it_changes_a_folder(self, grid):
        grid.run()
        before = {path: path.stat().st_mtime_ns for path in grid.place.rglob("*") if path.is_file()}
        jobs = [[*job, "epochs=11"] for job in JOBS]
        for job, old in zip(jobs, JOBS, strict=True):  # the same folders: a default of the library changed
            (grid.place / job_name(old)).rename(grid.place / job_name(job))
        with pytest.raises(
            InputError, match=r"\(and 2 more\) was made with other settings \(epochs: 10 -> 11\): choose on_change"
        ):
            grid.run(jobs)
        assert grid.launched == []
        assert sorted(before.values()) == sorted(p.stat().st_mtime_ns for p in grid.place.rglob("*") if p.is_file())

    @pytest.mark.parametrize(
        ("module_value", "value", "message"),
        [
            ("__version__", "9.9", r"mnist_zoo: .* -> 9\.9"),
            ("FINGERPRINT", "fedcba", "data: fingerprint 0123456789abcdef -> fedcba"),
        ],
    )
    def test_another_version_or_other_data_are_changes(self, grid, monkeypatch, module_value, value, message):
        grid.run()
        if module_value == "__version__":
            monkeypatch.setattr(plan_module, "__version__", value)
        else:
            monkeypatch.setattr("mnist_zoo.data.load_data", lambda cfg: type("Data", (), {"fingerprint": value}))
        with pytest.raises(InputError, match=message):
            grid.run()

    def test_rerun_starts_again_and_keep_uses_the_old_runs(self, grid, monkeypatch):
        grid.run()
        monkeypatch.setattr(plan_module, "__version__", "9.9")
        assert grid.run(JOBS, "on_change=keep") == [0.1, 0.2, 0.3] and grid.launched == []
        assert grid.run(JOBS, "on_change=rerun") == [0.1, 0.2, 0.3] and len(grid.launched) == 3
        assert grid.run() == [0.1, 0.2, 0.3] and grid.launched == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_sweep_ends_as_one_that_ran_through(tmp_path, number):
    settings = [
        "data=mnist5k",
        "data.train_fraction=0.1",
        "model=mlp,lenet5",
        "epochs=40",
        "trainer=cpu",
        "logger=none",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def line(name):
        return [sys.executable, "-m", "mnist_zoo", "-m", *settings, "sweep=s", f"output_dir={tmp_path / name}"]

    subprocess.run(line("whole"), cwd=ROOT, env=environment, check=True, capture_output=True)
    cut = tmp_path / "cut/sweeps/s"
    with subprocess.Popen(
        line("cut"), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 90
        while not list(cut.glob("*lenet*/checkpoints/previous.ckpt")):  # the name is cut after 79 characters
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        message = process.communicate()[1].decode()
    (half,) = cut.glob("*lenet*")
    assert run_status(half).state == "interrupted"
    if number == signal.SIGTERM:
        assert process.returncode == 130 and message.startswith("error: interrupted") and "Traceback" not in message

    done = subprocess.run(line("cut"), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 finished, 1 to run" in done.stdout and "epoch   1 " not in done.stdout
    times = ("fit_seconds", "train_images_per_second", "peak_memory_bytes")
    for folder in (tmp_path / "whole/sweeps/s").glob("data*"):
        records = [read_metrics(place / folder.name) for place in (folder.parent, cut)]
        assert all(record.pop(key) for record in records for key in times)
        assert records[0] == records[1]


@pytest.mark.slow
def test_a_terminated_process_is_continued_at_the_step_where_it_stopped(tmp_path):
    settings = ["data=mnist5k", "data.val_size=50", "model=cnn_dropout", "augment=affine"]
    settings += ["ema=0.99", "scheduler=onecycle", "epochs=6", "trainer=cpu", "logger=none"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def line(name):
        return [sys.executable, "-m", "mnist_zoo", "-m", *settings, "sweep=s", f"output_dir={tmp_path / name}"]

    subprocess.run(line("whole"), cwd=ROOT, env=environment, check=True, capture_output=True)
    whole = next(tmp_path.glob("whole/sweeps/s/*/metrics.json")).parent
    with subprocess.Popen(line("cut"), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 90
        while not list(tmp_path.glob("cut/sweeps/s/*/checkpoints/last.ckpt")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(min(row["seconds"] for row in read_curves(whole)) / 2)  # to the middle of the second epoch
        process.terminate()
        asked = time.monotonic()
        message = process.communicate()[1]
    assert process.returncode == 130 and time.monotonic() - asked < 10
    assert message.startswith("error: interrupted; the state of training is in") and message.count("\n") == 1
    subprocess.run(line("cut"), cwd=ROOT, env=environment, check=True, capture_output=True)

    cut = next(tmp_path.glob("cut/sweeps/s/*/metrics.json")).parent
    times = ("fit_seconds", "train_images_per_second", "peak_memory_bytes")
    records = [read_metrics(folder) for folder in (whole, cut)]
    assert all(record.pop(key) for record in records for key in times)
    assert records[0] == records[1]
    curves = [read_curves(folder) for folder in (whole, cut)]
    assert all(row.pop(key) for rows in curves for row in rows for key in ("seconds", "images_per_second"))
    assert curves[0] == curves[1]
    with np.load(whole / "predictions.npz") as first, np.load(cut / "predictions.npz") as second:
        assert all((first[key] == second[key]).all() for key in first)


@pytest.mark.slow
def test_each_job_of_a_sweep_may_use_several_processes(command, tmp_path):
    small = (
        "data=mnist5k",
        "data.train_fraction=0.1",
        "model=mlp",
        "epochs=2",
        "trainer=ddp",
        "trainer.accelerator=cpu",
    )
    done = command("-m", *small, "seed=0,1", "sweep=s")
    assert done.returncode == 0, done.stderr
    folders = [path.parent for path in (tmp_path / "sweeps/s").glob("*/metrics.json")]
    assert [run_status(folder).state for folder in folders] == ["finished"] * 2
    assert all(read_metrics(folder)["n_test"] == 1000 for folder in folders)
    assert all(len(read_curves(folder)) == 2 for folder in folders), "a row an epoch: one process writes"
    assert done.stdout.count("epoch   2") == 2, "and one prints"
    again = command("-m", *small, "seed=0,1", "sweep=s")
    assert again.returncode == 0 and "2 finished" in again.stdout and "epoch   1" not in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "package"),
    [
        (["joblib_cores"], "hydra_plugins.hydra_joblib_launcher"),
        (["local_processes"], "hydra_plugins.hydra_submitit_launcher"),
        (["submitit_local"], "hydra_plugins.hydra_submitit_launcher"),
        (["ray_gpus", "hydra.launcher.ray.remote.num_gpus=0"], "hydra_plugins.hydra_ray_launcher"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_parallel_launcher_runs_the_grid_and_reports_its_failures(command, tmp_path, launcher, package):
    pytest.importorskip(package)
    small = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "epochs=1", "optimizer=sgd", "trainer=cpu")
    grid = ("-m", f"hydra/launcher={launcher[0]}", *launcher[1:], *small, "lr=0.1,1e20", "seed=0,1", "sweep=s")
    done = command(*grid)
    assert done.returncode == 1
    assert "error: 2 of 4 jobs failed; the same command runs them again" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr and "train_loss became nan" in done.stdout
    states = sorted(run_status(folder).state for folder in (tmp_path / "sweeps/s").glob("data*"))
    assert states == ["failed", "failed", "finished", "finished"]
    again = command(*[argument.replace("0.1,1e20", "0.1") for argument in grid])
    assert again.returncode == 0 and "2 finished" in again.stdout
