"""The command line in this process: arguments, one-line errors, names of jobs and sweeps."""

from __future__ import annotations

import errno
import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_zoo import __main__ as command_line
from mnist_zoo import __version__
from mnist_zoo.errors import DivergedError, InputError, StorageError, ZooError, install_command
from mnist_zoo.hydra_app.arguments import parse_arguments, prepare
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.explain import explain
from mnist_zoo.hydra_app.names import NAME_LENGTH, former_job_name, job_name
from mnist_zoo.hydra_app.overrides import grid, parse, quote_path
from mnist_zoo.runs import FolderInUse, RunFolder
from mnist_zoo.runs.identity import comparable

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests/fixtures/0.1.0"
RECORD = json.loads((OLD / "run/metrics.json").read_text())
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

    def call(*arguments: str, output: bool = True) -> tuple[int, str, str]:
        place = [f"output_dir={tmp_path}"] if output else []
        monkeypatch.setattr(sys, "argv", ["mnist_zoo", *arguments, *place])
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
            config = comparable(OmegaConf.to_container(cfg, resolve=True))
            owned.start(config=config, version=__version__, data_fingerprint="0123456789abcdef")
            owned.finish(RECORD | {"val_acc": cfg.lr}, {})
        return cfg.lr

    monkeypatch.setattr("mnist_zoo.training.run.run", run)
    monkeypatch.setattr("mnist_zoo.data.load_data", lambda cfg: SimpleNamespace(fingerprint="0123456789abcdef"))
    return calls


class TestErrorsAreOneLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["model=resnet19"], "unknown model 'resnet19'; did you mean resnet18 or densenet121? known: capsnet, "),
            (["data=mnst"], "unknown data 'mnst'; did you mean mnist"),
            (["lrr=1"], "unknown setting 'lrr'; did you mean lr? known: lr, batch_size, "),
            (["model.dens=3"], "unknown setting of model 'dens'; did you mean dense?"),
            (["dropout=0.3"], "unknown setting 'dropout'; did you mean model.dropout?"),
            (["-m", "model=mlp,lenet", "lr=0.1"], "unknown model 'lenet'; did you mean lenet5"),
            (["-m", "lr=0.1,-1"], "lr=-1: it must be above 0"),
            (["-m", "lr=interval(0,1)"], "lr=interval(0,1): a sweep needs a list of values, such as lr=0.1,0.01"),
            (["-m", "seed=range(0)"], "seed=range(0): this gives seed no value, and the sweep would have no jobs"),
            (["-m", "model=glob(mpl*)"], "model=glob(mpl*): this gives model no value"),
            (["-m", "model=mlp,cnn", "lrr=1,2"], "unknown setting 'lrr'; did you mean lr?"),
            (["model"], "'model' is not an override: write key=value"),
            (["=0"], "'=0' is not an override: write key=value"),
            (["hydra.job_logging.version=[1,2]"], "the log cannot be set up (Unsupported version: [1, 2]): check "),
            (["hydra.job_logging.formatters.plain=x"], "the log cannot be set up (Unable to configure formatter 'pl"),
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

    @pytest.mark.parametrize(
        ("path", "arguments", "cure"),
        [
            ("outputs/runs", [], "; choose another folder with output_dir=DIR"),
            ("/x/runs", ["output_dir=/x"], "; choose another folder with output_dir=DIR"),
            ("/x/MNIST/raw", ["data.root=/x", "output_dir=/y"], "; choose another folder with data.root=DIR"),
            ("data/MNIST", ["-m", "lr=1,2"], "; choose another folder with data.root=DIR"),
            ("/elsewhere", ["output_dir=/x"], ""),
        ],
    )
    def test_a_file_that_cannot_be_used_names_the_setting_of_its_folder(self, path, arguments, cure):
        assert explain(PermissionError(13, "Permission denied", path), arguments) == f"{path}: Permission denied{cure}"

    @pytest.mark.parametrize("argument", ["lr=-1", "lrr=1", "label_smoothing=0.5"])
    def test_debug_shows_the_traceback(self, main, fake_run, argument):
        with pytest.raises((ZooError, HydraException)):
            main(argument, "debug=true")

    def test_an_error_of_the_library_itself_keeps_its_traceback(self, main, monkeypatch):
        monkeypatch.setattr("mnist_zoo.training.run.run", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main("model=mlp")

    @pytest.mark.parametrize(
        ("arguments", "started", "said"),
        [
            ([], True, "interrupted; continue with: python -m mnist_zoo "),
            ([], False, "interrupted; nothing was trained yet: give the same command again"),
            (["-m", "seed=0,1"], True, "interrupted; the same command continues the sweep"),
        ],
    )
    def test_ctrl_c_says_how_to_continue(self, main, monkeypatch, tmp_path, arguments, started, said):
        def run(cfg, folder, **options):
            with RunFolder(folder) as owned:
                if started:
                    owned.start()
                raise KeyboardInterrupt

        monkeypatch.setattr("mnist_zoo.training.run.run", run)
        status, _, err = main(*SMALL, *arguments)
        assert status == 130 and err.startswith(f"error: {said}") and err.count("\n") == 1
        if started and not arguments:
            (folder,) = (tmp_path / "runs").iterdir()
            assert err.endswith(f" resume={folder}\n"), "quoted only where a shell needs it"

    def test_a_full_disk_is_one_line(self, main, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")  # as Hydra's own files raise it

        monkeypatch.setattr("hydra.core.utils._save_config", full)
        status, _, err = main(*SMALL)
        wanted = "a file of the output folder cannot be written: No space left on device; choose another folder with "
        assert status == 1 and err == f"error: {wanted}output_dir=DIR\n"

    def test_a_traceback_that_cannot_be_written_does_not_stop_a_sweep(self, main, fake_run, monkeypatch):
        def full(*_):
            raise StorageError("the disk is full")

        monkeypatch.setattr(RunFolder, "write_traceback", full)
        status, _, err = main("-m", *SMALL, "label_smoothing=0.5,0")
        assert status == 1 and len(fake_run) == 2 and "DivergedError: train_loss became nan" in err

    def test_the_termination_signal_stops_as_ctrl_c_does(self, main, monkeypatch):
        monkeypatch.setattr("mnist_zoo.training.run.run", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        said = "error: terminated (SIGTERM); nothing was trained yet: give the same command again\n"
        assert main("model=mlp") == (130, "", said)

    def test_a_closed_pipe_is_no_traceback(self):
        line = [sys.executable, "-m", "mnist_zoo", "--help"]
        with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
            done.stdout.close()  # as head does
            assert (done.stderr.read(), done.wait()) == ("", 1)

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
        assert options == {"resume": None, "tune_process": True, "brief": False}
        assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text())[:2] == ["lr=0.5", "model=mlp"]

    def test_a_glob_chooses_the_options_of_a_group(self, main, fake_run):
        assert main("-m", *SMALL[:2], "model=glob(mlp_*,exclude=*_128_128)", "progress=none")[0] == 0
        assert [cfg.model.name for cfg, _, _ in fake_run] == ["mlp_128"]

    @pytest.mark.slow
    def test_jobs_of_a_sweep_resume_and_a_failed_one_does_not_stop_the_others(self, main, fake_run, tmp_path):
        command = ("-m", "lr=0.1,0.2", "label_smoothing=0.5,0.25,0", "model=mlp")
        status, _, err = main(*command)
        assert status == 1 and len(fake_run) == 6
        assert all(options == {"resume": True, "tune_process": True, "brief": True} for _, _, options in fake_run)
        lines = [line.removeprefix("error: ") for line in err.splitlines()]
        for lr in (0.1, 0.2):
            assert f"label_smoothing=0.5,lr={lr},model=mlp: DivergedError: train_loss became nan" in lines
            assert f"label_smoothing=0.25,lr={lr},model=mlp: FolderInUse: another process trains here" in lines
        assert lines[-1] == "4 of 6 jobs failed; the same command runs them again" and len(lines) == 5
        failed = [f"label_smoothing=0.5,lr={lr},model=mlp" for lr in (0.1, 0.2)]
        sweep = tmp_path / "sweeps/label_smoothing_lr,model=mlp"
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
            ([f"resume={OLD_RUN}", "lr=0.5"], "only epochs and the device can change, not lr"),
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
        assert before == [word for word in recorded if not word.startswith(("epochs=", "output_dir="))]
        assert (epochs, speed) == ("epochs=5", "speed=none")
        assert (resume, run_dir) == (quote_path(f"resume={OLD_RUN}"), quote_path(f"hydra.run.dir={OLD_RUN}"))

    @pytest.mark.parametrize("word", ["trainer=cpu", "trainer.accelerator=cpu"])
    def test_a_run_may_continue_on_another_device(self, word):
        assert word in prepare([f"resume={OLD_RUN}", word])

    def test_an_accepted_change_is_not_accepted_again(self, tmp_path):
        shutil.copytree(OLD_RUN, tmp_path / "run")
        (tmp_path / "run/.hydra/overrides.yaml").write_text("- lr=0.5\n- on_change=keep\n")
        assert prepare([f"resume={tmp_path / 'run'}"])[0] == "lr=0.5"
        assert not any("on_change" in word for word in prepare([f"resume={tmp_path / 'run'}"]))

    @pytest.fixture
    def of_others(self, tmp_path):
        """Return ``of_others("lr=0.1", ...)``: a run folder with these recorded overrides."""

        def copied(*words: str) -> Path:
            folder = Path(shutil.copytree(OLD_RUN, tmp_path / "run"))
            (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(list(words)))
            return folder

        return copied

    @pytest.mark.parametrize(
        "word",
        [
            "+hydra.callbacks.x={_target_: evil.Callback}",
            "hydra.job_logging.handlers.console.filename=/etc/passwd",
            "hydra/launcher=joblib",
            "+hydra/callbacks=evil",
            "hydra.searchpath=[file:///evil]",
            "hydra.run.dir=/evil",
            "output_dir=/evil",
            "sweep=evil",
            "debug=true",
        ],
    )
    def test_where_and_how_a_run_was_started_is_not_taken_from_its_folder(self, of_others, word):
        assert not [argument for argument in prepare([f"resume={of_others('model=mlp', word)}"]) if "evil" in argument]

    @pytest.mark.parametrize(
        ("word", "message"),
        [
            ("plugins=[evil]", "if you trust it, add 'plugins=[evil]': plug-ins are code"),
            ("+plugins=[evil]", "if you trust it, add '+plugins=[evil]': plug-ins are code"),
            ("plugins=['a;b']", "it must name modules as import does"),
            ("logger=wandb", "if you trust it, add logger=wandb, or add logger=none: this logger writes outside"),
            ("logger.tracking_uri=/evil", "add logger.tracking_uri=/evil, or add logger=none"),
            ("data.root=${oc.env:HOME}", "add 'data.root=${oc.env:HOME}' with its value instead"),
            ("lr=${oc.decode:1}", "add 'lr=${oc.decode:1}' with its value instead"),
            ("data@hydra.callbacks=mnist", "it puts a group at another place (hydra.callbacks)"),
            ("experiment=../../evil", "unknown experiment '../../evil'"),
            ("model._target_=evil", "unknown setting of model '_target_'"),
            ("+model._target_=evil", "unknown option of model 'mlp' '_target_'"),
            ("+trainer.default_root_dir=/evil", "trainer.default_root_dir: use output_dir=DIR instead"),
            ("+evil=1", "unknown setting 'evil'"),
            ("lr=1,2", "lr=1,2: several values are a sweep"),
            ("evil", ".hydra/overrides.yaml is damaged"),
        ],
    )
    def test_what_needs_trust_is_named_and_what_is_wrong_is_refused(self, main, of_others, word, message):
        status, out, err = main(f"resume={of_others('data=mnist5k', 'model=mlp', word)}")
        assert (status, out) == (1, "") and err.startswith("error: ")
        assert message in err and err.count("\n") == 1

    def test_what_was_named_again_is_used(self, of_others, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "my_trusted_module.py").write_text("")
        folder = of_others(
            "model=mlp", "plugins=[my_trusted_module]", "logger=mlflow", "data.root=${oc.env:HOME}", "lr=${seed}1"
        )
        given = ["plugins=[my_trusted_module]", "logger=none", "data.root=/data", "lr=0.01"]
        assert prepare([f"resume={folder}", *given])[:5] == ["model=mlp", *given]


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--hydra-help", "lr=1"], "--hydra-help shows Hydra's help, and takes no settings such as lr=1"),
            (["-sc"], "--shell-completion takes one word: install=bash"),
            (["-sc", "install=powershell"], "--shell-completion takes one word: install=bash"),
            (["-sc", "query=bash"], "query=bash: only the shell's own completion asks this"),
            (["--experimental-rerun", "x"], "unrecognized arguments: --experimental-rerun"),
            (["-cd", "/no/such/folder"], "/no/such/folder: there is no such folder of configuration files"),
            (["-cp", "/no/such/folder"], "/no/such/folder: there is no such folder of configuration files"),
            (["-cn", "nothing"], "unknown configuration 'nothing'"),
            (["--cfg", "job", "lr=abc"], "lr=abc: it must be a number"),
            (["--cfg", "job", "model.dropout=2"], "model.dropout=2: it must be below 1"),
            (["-m", "progress=none,lines"], "progress=none,lines: progress cannot be swept, because its jobs would"),
            (["-m", "model.dropout=0,2", "data=mnist5k"], "model.dropout=2: it must be below 1"),
            (["-m", "sweep=../x", "lr=1,2"], "sweep=../x: it must be the name of a folder, not a path"),
            (["-m", "~on_change", "lr=1,2"], "~on_change: this setting cannot be removed"),
            (["hydra.run.dir=/"], "hydra.run.dir=/: this folder holds other files: name a new one"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_wrong_argument_is_one_line(self, main, monkeypatch, arguments, message):
        monkeypatch.delenv("COMP_LINE", raising=False)
        status, out, err = main(*arguments, output=False)
        assert (status, out) == (1, "") and err.startswith(f"error: {message}") and err.count("\n") == 1

    def test_version_is_ours_and_those_of_what_it_builds_on(self, main):
        status, out, _ = main("--version")
        assert status == 0 and out.startswith(f"mnist_zoo {__version__}\nPython {sys.version_info.major}.")
        assert re.search(r"torch \d.*\npytorch-lightning \d.*\nhydra-core \d", out)

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
                "data.train_fraction=0.05,data=mnist5k,epochs=2,lr=0.01,model.hidden=_4-541c3db3",
            ),
            (["lr=1."], "lr=1_-69610f62"),
        ],
    )
    def test_a_job_is_named_after_its_overrides(self, overrides, name):
        assert job_name(overrides) == name and len(name) < 80

    def test_the_names_of_earlier_versions_are_known(self):
        recorded = yaml.safe_load((OLD_JOB / ".hydra/overrides.yaml").read_text())
        assert former_job_name(recorded) == OLD_JOB.name

    def test_a_run_folder_has_a_name_of_less_than_80_characters(self, main, fake_run):
        assert (
            main("lr=0.5", "model=mlp", "data=mnist5k", "data.train_fraction=0.1", "epochs=3", "optimizer=sgd")[0] == 0
        )
        ((_, folder, _),) = fake_run
        assert 60 < len(folder.name) < 80

    @quick
    @given(st.lists(st.text(max_size=80), min_size=2, max_size=4, unique=True))
    def test_job_names_are_safe_and_short_and_differ(self, texts):
        names = [job_name([f"x={text}", "lr=1"]) for text in texts]
        assert len(set(names)) == len(texts)
        for text, name in zip(texts, names, strict=True):
            assert re.fullmatch(r"[A-Za-z0-9._=,+-]*[A-Za-z0-9_=,+-]", name) and len(name) <= NAME_LENGTH < 80
            assert job_name(["lr=1", f"x={text}", "sweep=s"]) == name, "the order does not matter, nor where it runs"

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["-m", "model=mlp,cnn", "lr=1,2", "epochs=3"], "lr_model,epochs=3"),
            (["-m", "epochs=3", "lr=1,2,3", "model=mlp,cnn", "progress=none"], "lr_model,epochs=3"),
            (["-m", "lr=1,2,3", "model=mlp,cnn", "hydra/launcher=joblib", "logger=none"], "lr_model"),
            (["-m", "model=mlp"], "single,model=mlp"),
            (["-m", "lr=1,2", "sweep=mine"], "mine"),
            (["-m", "experiment=lr_sweep", "seed=0,1"], "lr_sweep"),
            (["-m", "experiment=lr_sweep", "seed=0,1", "epochs=1"], "lr_sweep,epochs=1"),
            (["-m", "speed=full,none"], "speed"),
            (["-m", "seed=0,1", "+model.hidden=[4]", "lr=1e-3"], "seed,lr=0.001,model.hidden=_4_-fcc7380f"),
        ],
    )
    def test_a_sweep_keeps_its_name_when_values_are_added(self, arguments, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert {f"sweep={name}", f"sweep='{name}'"} & set(prepare(arguments))

    def test_a_long_list_of_settings_is_cut(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        given = ["-m", "model=mlp,cnn", *(f"augment.{key}=0.25" for key in ("rotate", "shift", "erase", "zoom"))]
        names = [prepare([*given, f"epochs={count}"])[-1] for count in (1, 2)]
        assert names[0] != names[1] and all(len(name) <= len("sweep=''") + NAME_LENGTH for name in names)


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("outputs/pretrained/dbn.safetensors", False),
        ("/tmp/2026-11-28_10-00-00/1e-3", False),
        ("outputs/runs/model=cnn,lr=0.1", True),
        ("outputs/my run", True),
        ("1e-3", True),
        ("true", True),
        ("o'clock", True),
    ],
)
def test_a_path_is_quoted_where_hydra_would_read_it_as_something_else(path, quoted):
    word = quote_path(f"pretrained={path}")
    assert parse([word])[0].value() == path
    assert ("'" in word.removeprefix("pretrained=")[:1]) is quoted
