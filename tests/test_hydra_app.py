"""The command line in this process: arguments, one-line errors, names of jobs and sweeps."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import signal
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_zoo import __main__ as command_line
from mnist_zoo.errors import DivergedError, InputError, ZooError, install_command
from mnist_zoo.hydra_app.arguments import parse_arguments, prepare
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.explain import explain
from mnist_zoo.hydra_app.names import NAME_LENGTH, job_name
from mnist_zoo.hydra_app.overrides import grid, parse
from mnist_zoo.runs import FolderInUse, RunFolder

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests/fixtures/0.1.0"
OLD_RUN = OLD / "run"
(OLD_JOB,) = (path.parent for path in OLD.glob("sweeps/pair/*/job.json"))
SMALL = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "trainer=cpu")
quick = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture
def main(monkeypatch, capsys, tmp_path):
    """Return ``main("lr=0.1", ...)``: exit status, stdout and stderr of the command line in this process."""
    handler, root = signal.getsignal(signal.SIGTERM), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist_zoo", *arguments, f"output_dir={tmp_path}"])
        try:
            command_line.main()
            status = 0
        except SystemExit as error:
            status = error.code
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    yield call
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def fake_run(monkeypatch):
    """Replace the training by a function; return the list of its calls: (config, folder, keyword arguments)."""
    calls: list[tuple] = []

    def run(cfg, folder: Path, **options) -> float:
        calls.append((cfg, folder, options))
        if cfg.label_smoothing == 0.5:
            raise DivergedError("train_loss became nan")
        if cfg.label_smoothing == 0.25:
            raise FolderInUse("another process trains here")
        with RunFolder(folder) as owned:
            owned.start()
            owned.finish({"val_acc": cfg.lr}, {})
        return cfg.lr

    monkeypatch.setattr("mnist_zoo.training.run.run", run)
    return calls


class TestErrorsAreOneLine:
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
            (["-m", "lr=interval(0,1)"], "lr=interval(0,1): a sweep needs a list of values, such as lr=0.1,0.01"),
            (["-m", "model=mlp,cnn", "lrr=1,2"], "unknown setting 'lrr'; did you mean lr?"),
            (["model"], "'model' is not an override: write key=value"),
            (["--foo"], "unrecognized arguments: --foo; see --help"),
            (["--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
            (["model=custom"], "model.name has no value: add model.name=..."),
            (["search=dropout"], "search= is a setting of another command: python -m mnist_zoo.search search=NAME"),
            (["-m", "--cfg", "job", "model=mlp"], "--multirun and --cfg cannot go together: --cfg and --info show"),
            (["--resolve"], "--resolve says how to show a configuration: add --cfg job"),
            (["speed.off=fused"], "speed.off=fused: it must be a list, such as [pool_first,channels_last]"),
            (["-m", "speed.off=[fused],[fussed]"], "speed.off=['fussed']: unknown optimisation 'fussed'; did you mean"),
            (["experiment=architectures"], "experiment=architectures is a sweep over model: python -m mnist_zoo -m"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_an_invalid_argument_is_named_before_anything_starts(self, main, tmp_path, arguments, message):
        status, out, err = main(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith(f"error: {message}") and err.count("\n") == 1
        assert not list(tmp_path.rglob("*.json")), "no file of a run was written"

    @pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
    @pytest.mark.parametrize("name", ["ray", "ray_gpus"])
    def test_a_launcher_whose_package_is_missing_says_what_to_install(self, main, name):
        wanted = f"error: this launcher needs a package that is not installed: {install_command('ray')}\n"
        assert main("-m", f"hydra/launcher={name}", "data=mnist5k", "seed=0,1") == (1, "", wanted)

    def test_an_error_of_a_run_is_one_line(self, main, fake_run):
        assert main("label_smoothing=0.5") == (1, "", "error: train_loss became nan\n")

    def test_an_output_folder_that_cannot_be_written_is_named(self, main, tmp_path):
        (tmp_path / "runs").write_text("a file, not a folder")
        status, out, err = main(*SMALL)
        assert (status, out) == (1, "")
        assert err.startswith(f"error: {tmp_path / 'runs'}") and err.count("\n") == 1
        assert err.endswith("; choose another folder with output_dir=DIR\n")

    @pytest.mark.parametrize("argument", ["lr=-1", "lrr=1", "label_smoothing=0.5"])
    def test_debug_shows_the_traceback(self, main, fake_run, argument):
        with pytest.raises((ZooError, HydraException)):
            main(argument, "debug=true")

    def test_an_error_of_the_library_itself_keeps_its_traceback(self, main, monkeypatch):
        monkeypatch.setattr("mnist_zoo.training.run.run", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main("model=mlp")

    def test_the_termination_signal_stops_as_ctrl_c_does(self, main, monkeypatch):
        monkeypatch.setattr("mnist_zoo.training.run.run", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        assert main("model=mlp") == (130, "", "error: terminated (SIGTERM)\n")

    def test_only_errors_of_hydra_are_explained(self):
        assert explain(RuntimeError("something else"), []) is None

    def test_compose_config_has_the_same_errors(self):
        for overrides, message in ((["lrr=1"], "unknown setting 'lrr'"), (["model=custom"], "model.name has no value")):
            with pytest.raises(InputError, match=message):
                compose_config(overrides)


class TestRun:
    def test_a_run_gets_its_configuration_and_folder(self, main, fake_run, tmp_path):
        assert main("lr=0.5", "model=mlp") == (0, "", "")
        ((cfg, folder, options),) = fake_run
        assert (cfg.lr, cfg.model.name) == (0.5, "mlp")
        assert folder.parent == tmp_path / "runs" and folder.name.endswith("_lr=0.5,model=mlp")
        assert options == {"resume": None, "tune_process": True}
        assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text())[:2] == ["lr=0.5", "model=mlp"]

    def test_jobs_of_a_sweep_resume_and_a_failed_one_does_not_stop_the_others(self, main, fake_run, tmp_path):
        command = ("-m", "lr=0.1,0.2", "label_smoothing=0.5,0.25,0", "model=mlp")
        status, _, err = main(*command)
        assert status == 1 and len(fake_run) == 6
        assert all(options == {"resume": True, "tune_process": True} for _, _, options in fake_run)
        failed = [f"label_smoothing=0.5,lr={lr},model=mlp" for lr in (0.1, 0.2)]
        assert err.splitlines() == [
            *(f"error: {name}: DivergedError: train_loss became nan" for name in failed),
            "error: 4 of 6 jobs failed; the same command runs them again",
        ], "a folder that another process uses is not an error of its own"
        sweep = tmp_path / "sweeps/label_smoothing_lr"
        assert sorted(path.parent.name for path in sweep.rglob("traceback.txt")) == failed
        assert len(list(sweep.rglob("job.json"))) == 6
        fake_run.clear()
        main(*command)
        assert len(fake_run) == 4, "the finished jobs are not run again"


class TestResume:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["resume=nowhere"], "resume=nowhere: there is no such folder"),
            (["resume=."], "resume=.: this is not a run folder"),
            (["-m", "resume=.", "lr=1,2"], "resume continues one run"),
            ([f"resume={OLD_RUN}", "lr=0.5"], "only epochs can change, not lr"),
        ],
    )
    def test_what_cannot_be_resumed_is_named(self, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=message):
            prepare(arguments)

    def test_a_run_continues_with_its_recorded_overrides_and_the_new_ones(self):
        arguments = prepare([f"resume={OLD_RUN}", "epochs=5", "speed=none"])
        *before, epochs, speed, resume, run_dir = arguments
        recorded = yaml.safe_load((OLD_RUN / ".hydra/overrides.yaml").read_text())
        assert before == [override for override in recorded if not override.startswith("epochs=")]
        assert (epochs, speed) == ("epochs=5", "speed=none")
        assert (resume, run_dir) == (f"resume='{OLD_RUN}'", f"hydra.run.dir='{OLD_RUN}'")


class TestArguments:
    OPTIONS = (
        ["-m"],
        ["--multirun"],
        ["-c", "job"],
        ["--package", "model"],
        ["-cd", "/x"],
        ["--info=all"],
    )

    @quick
    @given(
        options=st.lists(st.sampled_from(OPTIONS), max_size=4, unique_by=lambda words: words[0].split("=")[0]),
        overrides=st.lists(st.sampled_from(["lr=1", "model=mlp", "+x=2", "~y", "a=[1,2]", "seed=0,1"]), max_size=4),
        data=st.data(),
    )
    def test_the_order_of_options_and_overrides_does_not_matter(self, options, overrides, data):
        wanted = parse_arguments([word for words in options for word in words] + overrides)
        mixed = [[override] for override in overrides]
        for words in options:
            mixed.insert(data.draw(st.integers(0, len(mixed))), words)
        given_words = [word for words in mixed for word in words]
        assert parse_arguments(given_words) == wanted
        assert wanted.overrides == overrides

    def test_hydra_receives_options_first(self):
        arguments = ["lr=1", "--cfg", "job", "model=mlp", "--resolve", "-p", "model"]
        assert prepare(arguments) == ["--resolve", "--cfg=job", "--package=model", "lr=1", "model=mlp"]

    @pytest.mark.parametrize(
        ("overrides", "jobs"),
        [
            (["lr=1,2", "model=mlp"], [["lr=1", "model=mlp"], ["lr=2", "model=mlp"]]),
            (["a=1,2", "b=3,4"], [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]),
            (["seed=range(0,3)"], [["seed=0"], ["seed=1"], ["seed=2"]]),
            (["lr=1,2", "lr=3"], [["lr=3"]]),
            (["a=[1,2],[3]", "b='x,y'"], [["a=[1,2]", "b='x,y'"], ["a=[3]", "b='x,y'"]]),
            (["+a=1,2", "++b=3"], [["+a=1", "++b=3"], ["+a=2", "++b=3"]]),
            ([], [[]]),
        ],
    )
    def test_a_grid_has_every_combination(self, overrides, jobs):
        assert grid(parse(overrides)) == jobs


class TestNames:
    @pytest.mark.parametrize(
        ("overrides", "name"),
        [
            (["model=mlp", "lr=0.1"], "lr=0.1,model=mlp"),
            (["lr=0.1", "model=mlp"], "lr=0.1,model=mlp"),
            ([], "defaults"),
            (["seed=1", "output_dir=/x/y", "sweep=s", "progress=none", "hydra.run.dir=z"], "seed=1"),
            (["+model.width=3"], "model.width=3"),
            (["logger=none", "experiment=dropout", "speed=none"], "experiment=dropout,logger=none,speed=none"),
            (
                [
                    *("sweep=pair", "data=mnist5k", "model=mlp", "model.hidden=[4]", "data.train_fraction=0.05"),
                    *("epochs=2", "trainer=cpu", "lr=0.01", "output_dir=outputs"),
                ],
                OLD_JOB.name,
            ),
        ],
    )
    def test_a_job_is_named_after_its_overrides(self, overrides, name):
        assert job_name(overrides) == name

    @quick
    @given(st.lists(st.text(max_size=80), min_size=2, max_size=4, unique=True))
    def test_job_names_are_safe_and_short_and_differ(self, texts):
        names = [job_name([f"x={text}", "lr=1"]) for text in texts]
        assert len(set(names)) == len(texts)
        for text, name in zip(texts, names, strict=True):
            assert re.fullmatch(r"[A-Za-z0-9._=,+-]+", name) and len(name) <= NAME_LENGTH
            assert job_name(["lr=1", f"x={text}", "sweep=s"]) == name, "the order does not matter, nor where it runs"

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["-m", "model=mlp,cnn", "lr=1,2", "epochs=3"], "lr_model"),
            (["-m", "lr=1,2,3", "model=mlp,cnn"], "lr_model"),
            (["-m", "model=mlp"], "single"),
            (["-m", "lr=1,2", "sweep=mine"], "mine"),
            (["-m", "experiment=lr_sweep", "seed=0,1"], "lr_sweep"),
            (["-m", "speed=full,none"], "speed"),
        ],
    )
    def test_a_sweep_keeps_its_name_when_values_are_added(self, arguments, name):
        assert f"sweep={name}" in prepare(arguments)
