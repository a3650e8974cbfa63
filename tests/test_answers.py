"""What a user reads: the line while PyTorch is loaded, the table of a run, the answer of a sweep, the lists."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scipy import stats

from mnist_zoo import list as list_door
from mnist_zoo import waiting
from mnist_zoo.hydra_app.answer import FAILURES, ROWS, Labels, Outcome, answer, duration
from mnist_zoo.hydra_app.catalogue import KINDS, choices
from mnist_zoo.hydra_app.launching import how_to_continue
from mnist_zoo.runs import RunFolder
from mnist_zoo.runs.interval import interval_text, wilson_interval
from mnist_zoo.training.evaluation import summary_table
from mnist_zoo.training.run import run

ROOT = Path(__file__).parents[1]
RECORD = {
    **{"model": "mlp", "data": "mnist5k", "num_params": 105_214, "flops": 209_760, "best_epoch": 2, "epochs_run": 3},
    **{"n_train": 3667, "n_val": 333, "n_test": 1000, "train_acc": 1.0, "val_acc": 0.952, "test_acc": 0.982},
    **{"train_loss": 0.0044, "val_loss": 0.1747, "test_loss": 0.0625, "fit_seconds": 7.3, "device": "a processor"},
    "train_images_per_second": 12345.6,
}


def outcome(*overrides: str, val_acc: float | None = None, failure: str | None = None) -> Outcome:
    metrics = None if val_acc is None else RECORD | {"val_acc": val_acc, "test_acc": 0.123456}
    return Outcome(overrides, Path("sweeps/s") / ",".join(overrides), metrics, failure)


class TestIntervals:
    @pytest.mark.parametrize(("correct", "images"), [(0, 10), (10, 10), (317, 333), (982, 1000), (1, 2)])
    def test_wilsons_interval_is_that_of_scipy(self, correct, images):
        found = stats.binomtest(correct, images).proportion_ci(method="wilson")
        assert wilson_interval(correct, images) == pytest.approx((found.low, found.high), abs=1e-12)

    def test_without_images_every_accuracy_is_possible(self):
        assert wilson_interval(0, 0) == (0.0, 1.0)

    def test_validation_and_test_of_the_quick_start_overlap(self):
        """0.952 of 333 and 0.982 of 1,000 images looked like a bug."""
        assert interval_text(317 / 333, 333) == "0.9234 - 0.9702" and interval_text(0.982, 1000) == "0.9717 - 0.9886"


class TestRunTable:
    def table(self, folder: Path) -> list[str]:
        return summary_table(RECORD, RunFolder(folder)).splitlines()

    def test_each_accuracy_has_its_interval(self, tmp_path):
        lines = self.table(tmp_path)
        assert lines[1].split() == ["images", "accuracy", "95", "%", "interval", "loss"]
        assert lines[3] == "  validation      333    0.9520   0.9234 - 0.9702   0.1747"

    def test_the_signs_of_the_epoch_lines_are_explained(self, tmp_path):
        text = "\n".join(self.table(tmp_path))
        assert "* (above): the best epoch so far" in text and "images/s counts training images" in text

    def test_the_next_commands_name_the_folder_for_the_shell(self, tmp_path):
        folder = tmp_path / "my runs" / "a"
        text = "\n".join(self.table(folder))
        for command in ("predict", "export", "report"):
            assert f"python -m mnist_zoo.{command} '{folder}'" in text


class TestSweepAnswer:
    GRID = [("model=mlp", "lr=0.1"), ("model=mlp", "lr=0.2"), ("model=cnn", "lr=0.1")]

    def test_jobs_are_sorted_by_validation_and_told_apart_by_what_differs(self):
        jobs = [outcome("data=mnist5k", *job, val_acc=0.9 + i / 100) for i, job in enumerate(self.GRID)]
        lines = answer(jobs, Path("sweeps/s")).splitlines()
        assert lines[1].split() == ["validation", "95", "%", "interval", "epochs", "time", "model", "lr"]
        assert [line.split()[0] for line in lines[2:5]] == ["0.9200", "0.9100", "0.9000"]
        assert lines[2].split()[-5:] == ["3", "7.3", "s", "cnn", "0.1"]
        assert "best by validation: model=cnn lr=0.1" in lines
        assert lines[-1] == "next: python -m mnist_zoo.report sweeps/s --open"

    def test_the_test_accuracy_is_not_shown(self):
        assert "0.1235" not in answer([outcome("lr=1", val_acc=0.9), outcome("lr=2", val_acc=0.8)], Path("s"))

    def test_the_seeds_of_a_configuration_are_one_row_with_their_mean(self):
        accuracies = {("cnn", 0): 0.90, ("cnn", 1): 0.94, ("mlp", 0): 0.93, ("mlp", 1): 0.89}
        jobs = [outcome(f"model={model}", f"seed={seed}", val_acc=acc) for (model, seed), acc in accuracies.items()]
        lines = answer(jobs, Path("s")).splitlines()
        assert lines[1].split() == ["validation", "lowest", "-", "highest", "seeds", "epochs", "time", "model"]
        assert lines[2].split()[:5] == ["0.9200", "0.9000", "-", "0.9400", "2"]
        assert "best by validation: model=cnn" in lines and "  sweeps/s/model=cnn,seed=1" in lines

    def test_one_seed_of_each_of_several_is_not_called_a_mean(self):
        lines = answer([outcome("seed=0", val_acc=0.9), outcome("seed=1")], Path("s")).splitlines()
        assert lines[1].split()[-1] == "seed" and "lowest" not in lines[1]

    def test_failed_jobs_are_named_with_their_reasons(self):
        jobs = [outcome("lr=1", val_acc=0.9), outcome("lr=1e9", failure="DivergedError: \x1b[31mnan"), outcome("lr=2")]
        text = answer(jobs, Path("s"))
        assert "failed:\n  lr=1e9\n      DivergedError: \\x1b[31mnan\nnot finished: 1 of 3 jobs" in text

    def test_long_tables_and_long_lists_of_failures_are_cut_with_a_note(self):
        jobs = [outcome(f"lr={i}", val_acc=0.5) for i in range(ROWS + 5)]
        jobs += [outcome(f"lr=-{i}", failure="no") for i in range(1, FAILURES + 4)]
        text = answer(jobs, Path("a sweep"))
        assert text.count("0.5000") == ROWS and text.count("      no") == FAILURES
        assert "... and 5 more: python -m mnist_zoo.status 'a sweep'" in text and "... and 3 more" in text

    def test_without_a_result_there_is_no_next_command(self):
        assert answer([outcome("lr=1", failure="no")], Path("s")) == "failed:\n  lr=1\n      no"

    def test_a_setting_that_only_some_jobs_have_tells_them_apart(self):
        labels = Labels([["model=mlp"], ["model=mlp", "+model.hidden=[4]"]])
        texts = [labels.text(job, Path("name")) for job in (["model=mlp"], ["model=mlp", "+model.hidden=[4]"])]
        assert texts == ["name", "model.hidden=[4]"]

    @pytest.mark.parametrize(("seconds", "text"), [(7.32, "7.3 s"), (252, "4.2 min"), (9000, "2.5 h")])
    def test_durations(self, seconds, text):
        assert duration(seconds) == text


class TestWaiting:
    def test_a_log_gets_a_line(self, capsys):
        with waiting.waiting_for("loading"):
            assert capsys.readouterr().out == "loading\n", "before the block"
        assert capsys.readouterr().out == ""

    def test_a_terminal_shows_it_until_the_block_ends(self, monkeypatch):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("COLUMNS", "8")
        with waiting.waiting_for("loading PyTorch"):
            assert terminal.getvalue() == "loading", "as much as fits on the line"
        assert terminal.getvalue() == "loading\r       \r"

    def test_nothing_is_shown_where_nothing_is_waited_for(self, capsys):
        with waiting.loading_torch("mlp"):
            assert capsys.readouterr().out == "", "torch is imported"

    def test_the_first_line_of_a_run_comes_before_torch(self, tmp_path):
        """A folder in place of torch shows that the line is there when its import starts."""
        (tmp_path / "torch.py").write_text("print('importing torch', flush=True)\nraise KeyboardInterrupt\n")
        line = [sys.executable, "-m", "mnist_zoo", "data=mnist5k", "model=mlp", f"output_dir={tmp_path}"]
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        done = subprocess.run(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
        assert done.stdout == "mlp on mnist5k, epochs=10: loading PyTorch ...\nimporting torch\n", done.stderr
        assert (done.returncode, done.stderr) == (
            130,
            "error: interrupted; nothing was trained yet: give the same command again\n",
        )


class TestInterrupted:
    def test_the_command_that_continues_is_named(self, tmp_path):
        folder = tmp_path / "a run"
        nothing = "interrupted; nothing was trained yet: give the same command again"
        assert how_to_continue(KeyboardInterrupt(), folder) == nothing
        folder.mkdir()
        (folder / "status.json").write_text("{}")
        found = how_to_continue(KeyboardInterrupt("interrupted; x"), folder, ["my.module"])
        assert found == (f"interrupted; x; continue with: python -m mnist_zoo 'resume={folder}' 'plugins=[my.module]'")


class TestList:
    def call(self, monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["list", *arguments])
        try:
            list_door.main()
            status = 0
        except SystemExit as error:
            status = error.code
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_choice_has_a_description(self, kind):
        found = choices(kind)
        assert found and all(choice.about for choice in found)
        assert choices(KINDS[kind]) == found, "the key of the command line names the same list"

    def test_models_have_a_line_and_their_settings(self, monkeypatch, capsys):
        status, out, _ = self.call(monkeypatch, capsys, "models")
        assert status == 0
        assert "  lenet5                LeNet-5, 61,706 parameters" in out
        assert " init=default image_size=null activation=sigmoid pooling=avg\n" in out
        assert "dropout=0.25 dropout_dense=0.5" in out, "of cnn_dropout, which builds on cnn"

    def test_without_a_kind_all_names_are_shown(self, monkeypatch, capsys):
        status, out, _ = self.call(monkeypatch, capsys)
        assert status == 0 and "optimizers (optimizer=): adam, adamw, lion, muon, nadam, radam, rmsprop, sgd\n" in out

    def test_an_unknown_kind_is_one_line(self, monkeypatch, capsys):
        status, out, err = self.call(monkeypatch, capsys, "modls")
        assert (status, out) == (1, "") and err.startswith("error: unknown list 'modls'; did you mean models?")

    def test_a_plug_in_adds_its_networks(self, monkeypatch, capsys, tmp_path):
        (tmp_path / "listed_plugin.py").write_text(
            "from torch import nn\nfrom mnist_zoo import register_model\n\n\n"
            "@register_model('listed_net')\ndef net(num_classes=10, in_chans=1, width=64):\n"
            "    '''A network of mine.\n\n    More.\n    '''\n    return nn.Flatten()\n"
        )
        from mnist_zoo.models import registry

        monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
        monkeypatch.syspath_prepend(tmp_path)
        status, out, _ = self.call(monkeypatch, capsys, "models", "--plugin", "listed_plugin")
        assert status == 0 and "listed_net            A network of mine. (plugins=[listed_plugin])\n" in out
        assert out.rstrip().endswith("width=64")

    def test_a_plug_in_that_is_missing_is_one_line(self, monkeypatch, capsys):
        status, _, err = self.call(monkeypatch, capsys, "data", "--plugin", "no_such_module")
        assert status == 1 and "cannot import 'no_such_module'" in err


class TestProgress:
    def test_the_bar_says_what_it_counts(self, stripes_config, tmp_path, capsys):
        run(stripes_config("progress=bar"), tmp_path / "run")
        out = capsys.readouterr().out
        assert "steps" in out and "images/s" in out and "epoch   1 " in out and "validation" in out

    def test_one_run_of_many_prints_neither_epochs_above_its_bar_nor_a_table(self, stripes_config, tmp_path, capsys):
        run(stripes_config("progress=bar"), tmp_path / "run", brief=True)
        out = capsys.readouterr().out
        assert "epoch   1 " not in out and "test" not in out
