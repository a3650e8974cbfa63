"""run(cfg, folder): what a run leaves behind, and that it can be repeated and resumed."""

import csv
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from marks import slow
from pytorch_lightning.callbacks import Callback

from mnist_zoo import LitClassifier, MNISTDataModule, list_models
from mnist_zoo.errors import DivergedError, InputError, StorageError
from mnist_zoo.report import read_runs
from mnist_zoo.runs import find_runs, in_use, read_curves, read_metrics, read_status
from mnist_zoo.speed import switch
from mnist_zoo.training.ema import EMA
from mnist_zoo.training.recorder import Recorder
from mnist_zoo.training.run import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with most things switched on, and its config."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from mnist_zoo.hydra_app.compose import CONFIG_DIR

    overrides = ["data=custom", "data.name=stripes", "model=mlp", "epochs=3", "trainer=cpu", "augment.shift=0.05"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = OmegaConf.to_container(compose("config", overrides), resolve=True)
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, run(cfg, folder), cfg


def predictions_of(folder) -> dict[str, np.ndarray]:
    with np.load(folder / "predictions.npz") as arrays:
        return dict(arrays)


class TestRunFolder:
    def test_the_promised_files_are_there(self, finished):
        folder, _, _ = finished
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        promised = {"status.json", "metrics.json", "predictions.npz", "curves.csv"}
        assert promised | {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
        assert any(name.startswith("events.out.tfevents") for name in names), "TensorBoard by default"
        assert not [name for name in names if ".new" in name or name.endswith(".tmp")], "nothing half-written"

    def test_metrics_have_the_documented_fields(self, finished):
        folder, objective, _ = finished
        metrics = read_metrics(folder)
        promised = """model num_params flops data n_train n_val n_test lr batch_size seed epochs_run best_epoch
            train_acc val_acc test_acc train_loss val_loss test_loss fit_seconds train_images_per_second device
            versions"""
        assert set(promised.split()) <= set(metrics)
        assert metrics["val_acc"] == objective
        assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (176, 16, 40)
        assert metrics["num_params"] == 105_214
        assert metrics["flops"] == 2 * (784 * 120 + 120 * 84 + 84 * 10), "two operations a multiply-add"
        assert metrics["test_acc"] > 0.5, "it learned"

    def test_metrics_follow_from_the_predictions(self, finished):
        folder, _, _ = finished
        metrics, predictions = read_metrics(folder), predictions_of(folder)
        data = MNISTDataModule("stripes")
        for split, prefix in (("val", "val_"), ("test", "")):
            logits, labels = predictions[f"{prefix}logits"], predictions[f"{prefix}labels"]
            assert logits.dtype == np.float32 and labels.dtype == np.uint8
            assert labels.tolist() == data.labels(split).tolist(), "in the split's own order"
            assert metrics[f"{split}_acc"] == (logits.argmax(1) == labels).mean()
            shifted = logits - logits.max(1, keepdims=True)
            nats = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]
            assert metrics[f"{split}_loss"] == pytest.approx(nats.mean(), rel=1e-4)

    def test_training_metrics_are_of_the_best_checkpoint_on_images_without_augmentation(self, finished):
        folder, _, _ = finished
        best = LitClassifier.load_from_checkpoint(folder / "checkpoints/best.ckpt").eval()
        data = MNISTDataModule("stripes")
        with torch.no_grad():
            right = sum((best(x).argmax(1) == y).sum().item() for x, y in data.eval_dataloader("train"))
        assert read_metrics(folder)["train_acc"] == right / 176

    def test_curves_have_a_row_an_epoch(self, finished):
        folder, _, _ = finished
        with (folder / "curves.csv").open() as file:
            header = next(csv.reader(file))
        assert header[:7] == ["epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "seconds"]
        rows = read_curves(folder)
        assert [row["epoch"] for row in rows] == [1, 2, 3]
        best = max(rows, key=lambda row: (row["val_acc"], -row["val_loss"]))
        assert read_metrics(folder)["best_epoch"] == best["epoch"]
        assert read_metrics(folder)["val_acc"] == pytest.approx(best["val_acc"], abs=1e-6)

    def test_status_says_finished_and_names_the_job(self, finished):
        folder, _, _ = finished
        status = json.loads((folder / "status.json").read_text())
        assert (status["state"], status["epoch"], status["epochs"]) == ("finished", 3, 3)
        assert len(status["identity"]) == 16

    def test_a_checkpoint_says_how_to_prepare_new_images(self, finished):
        folder, _, _ = finished
        saved = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["MNISTDataModule"]
        data = MNISTDataModule("stripes")
        data.setup()
        assert (saved["mean"], saved["std"]) == (data.mean, data.std)

    def test_it_is_found(self, finished):
        folder, _, _ = finished
        assert list(find_runs([folder.parent])) == [folder] == list(find_runs([folder]))

    def test_another_run_in_the_same_folder_is_refused_and_nothing_is_lost(self, finished):
        folder, _, cfg = finished
        before = (folder / "metrics.json").read_bytes()
        with pytest.raises(InputError, match="already holds a run: continue it with resume="):
            run(cfg, folder)
        assert (folder / "metrics.json").read_bytes() == before

    def test_resuming_a_finished_run_changes_nothing(self, finished, capsys):
        folder, objective, cfg = finished
        assert run(cfg | {"resume": str(folder)}, folder) == objective
        assert "is finished" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_result_and_another_seed_another(stripes_config, tmp_path, results):
    dropout = ("model=cnn_dropout", "epochs=2", "augment=affine")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(stripes_config(*dropout, f"seed={seed}"), tmp_path / name)
    first, second, other = (results(tmp_path / name) for name in "abc")
    assert first == second
    assert first["weights"] != other["weights"]
    assert first["metrics"]["data_fingerprint"] == other["metrics"]["data_fingerprint"], "the split has its own seed"


@pytest.mark.parametrize(
    "settings",
    [
        ("model=cnn_dropout", "augment=affine"),
        ("scheduler=plateau", "scheduler.patience=0", "early_stop.monitor=val_loss", "early_stop.patience=2"),
        ("scheduler=onecycle", "ema=0.9"),
        slow(("scheduler=exponential", "scheduler.gamma=0.5", "optimizer=rmsprop", "grad_clip=0.1")),
        slow(("scheduler=cosine", "model=cnn_batchnorm", "optimizer=sgd")),
    ],
    ids=lambda settings: settings[0],
)
def test_a_run_that_is_resumed_equals_one_that_ran_through(stripes_config, tmp_path, monkeypatch, settings, results):
    cfg = stripes_config(*settings, "epochs=4")
    run(stripes_config(*settings, "epochs=4"), tmp_path / "whole")

    start = Recorder.on_train_epoch_start

    def power_cut(record, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyError("power cut")
        start(record, trainer, module)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Recorder, "on_train_epoch_start", power_cut)
        run(cfg, tmp_path / "cut")
    status = json.loads((tmp_path / "cut/status.json").read_text())
    assert status["state"] == "failed" and "power cut" in status["reason"]
    assert read_metrics(tmp_path / "cut") is None, "a folder without metrics.json is unfinished"

    run(stripes_config(*settings, "epochs=4", f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


class SendSignal(Callback):
    """Sends a termination signal at one moment of the training, as a batch system does."""

    def __init__(self, hook: str, epoch: int, batch: int = 0, number: int = signal.SIGTERM):
        def warn(trainer, module, *rest):
            if trainer.current_epoch == epoch and (not rest or rest[-1] == batch):
                signal.raise_signal(number)

        self.batch = batch
        setattr(self, hook, warn)


class Seen(Callback):
    """Notes the indices of the batches that were trained on."""

    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        self.batches.append(batch_idx)


CONTINUED = [
    ("model=cnn_dropout", "augment=affine", "ema=0.9", "scheduler=onecycle"),
    slow(("model=cnn_batchnorm", "early_stop.monitor=val_loss", "early_stop.patience=1", "scheduler=plateau")),
    slow(("optimizer=sgd", "scheduler=exponential", "progress=bar")),
]


class TestTerminationSignals:
    @pytest.mark.parametrize("settings", CONTINUED, ids=lambda settings: settings[0])
    @pytest.mark.parametrize(
        ("where", "within_epoch"),
        [
            pytest.param(SendSignal("on_train_batch_start", epoch=0, batch=0), True, marks=pytest.mark.slow),
            (SendSignal("on_train_batch_start", epoch=1, batch=7), True),
            # The last batch: its epoch is ended.
            pytest.param(SendSignal("on_train_batch_start", epoch=1, batch=10), False, marks=pytest.mark.slow),
            (SendSignal("on_validation_start", epoch=2), False),
        ],
        ids=["first batch", "within an epoch", "last batch", "validation"],
    )
    def test_one_ends_the_run_and_resuming_gives_the_same_result(
        self, stripes_config, tmp_path, settings, where, within_epoch, results
    ):
        settings = (*settings, "epochs=4", "batch_size=16")
        run(stripes_config(*settings), tmp_path / "whole")
        said = "the state of training" if within_epoch else "the last whole epoch"
        with pytest.raises(KeyboardInterrupt, match=f"interrupted; {said} is in "):
            run(stripes_config(*settings), tmp_path / "cut", callbacks=[where])
        assert read_metrics(tmp_path / "cut") is None
        seen = Seen()
        run(stripes_config(*settings, f"resume={tmp_path / 'cut'}"), tmp_path / "cut", callbacks=[seen])
        assert results(tmp_path / "cut") == results(tmp_path / "whole")
        if within_epoch:
            assert seen.batches[0] == where.batch + 1, "no step is repeated"

    def test_a_handler_is_called_after_the_checkpoint_and_training_continues_if_it_returns(
        self, stripes_config, tmp_path
    ):
        heard = []
        before = signal.signal(
            signal.SIGUSR2, lambda number, frame: heard.append((tmp_path / "checkpoints/last.ckpt").exists())
        )
        try:
            run(stripes_config(), tmp_path, callbacks=[SendSignal("on_train_batch_start", 0, 1, signal.SIGUSR2)])
        finally:
            signal.signal(signal.SIGUSR2, before)
        assert heard == [True], "after the checkpoint was written"
        assert read_metrics(tmp_path)["epochs_run"] == 3

    def test_the_handlers_are_restored(self, stripes_config, tmp_path):
        before = signal.getsignal(signal.SIGTERM)
        run(stripes_config("epochs=1"), tmp_path)
        assert signal.getsignal(signal.SIGTERM) == before


def test_the_checkpoint_before_a_truncated_one_is_used(stripes_config, tmp_path, results):
    run(stripes_config(), tmp_path / "whole")
    run(stripes_config(), tmp_path / "cut")
    (tmp_path / "cut/metrics.json").unlink()
    last = tmp_path / "cut/checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"last\.ckpt cannot be read"):
        run(stripes_config(f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize("left", [0, 1000])
def test_a_damaged_checkpoint_does_not_change_the_result(stripes_config, tmp_path, name, left, results):
    settings = ("lr=0.05", "epochs=4")
    run(stripes_config(*settings), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(stripes_config(*settings), tmp_path / "cut", callbacks=[SendSignal("on_validation_start", epoch=2)])
    path = tmp_path / f"cut/checkpoints/{name}.ckpt"
    content = path.read_bytes()[:left]
    path.unlink()  # the best and the last may be one file with two names
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{name}.ckpt cannot be read"):
        run(stripes_config(*settings, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 4], ids=["trained", "half trained"])
def test_lost_curves_are_in_the_checkpoint(stripes_config, tmp_path, epochs, results):
    run(stripes_config("epochs=4"), tmp_path / "whole")
    run(stripes_config("epochs=2"), tmp_path / "cut")
    for name in ("metrics.json", "curves.csv"):
        (tmp_path / "cut" / name).unlink()
    run(stripes_config(f"epochs={epochs}", f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    cut, whole = results(tmp_path / "cut"), results(tmp_path / "whole")
    assert len(cut["curves"]) == epochs and cut["curves"] == whole["curves"][:epochs]


def test_a_finished_run_continues_when_asked_for_more_epochs(stripes_config, tmp_path, results):
    run(stripes_config("epochs=4"), tmp_path / "whole")
    run(stripes_config("epochs=2"), tmp_path / "longer")
    with pytest.warns(UserWarning, match="was tested 1 time already, and will be tested again"):
        run(stripes_config("epochs=4", f"resume={tmp_path / 'longer'}"), tmp_path / "longer")
    longer, whole = results(tmp_path / "longer"), results(tmp_path / "whole")
    assert (longer["metrics"].pop("test_evaluations"), whole["metrics"].pop("test_evaluations")) == (2, 1)
    assert longer == whole and longer["metrics"]["epochs_run"] == 4


def test_a_schedule_that_is_planned_for_all_epochs_is_not_continued_beyond_them(stripes_config, tmp_path):
    def settings(epochs, *further):
        return stripes_config("scheduler=cosine", f"epochs={epochs}", f"resume={tmp_path}", *further)

    run(settings(1), tmp_path)
    before = (tmp_path / "metrics.json").read_bytes()
    with pytest.raises(
        InputError, match=r"made with other settings \(epochs of scheduler=cosine: 1 -> 2\): choose on_ch"
    ):
        run(settings(2), tmp_path)
    assert (tmp_path / "metrics.json").read_bytes() == before, "the finished run is kept"
    with pytest.warns(UserWarning, match="was tested 1 time already"):
        run(settings(2, "on_change=rerun"), tmp_path)
    first, second = (row["lr"] for row in read_curves(tmp_path))
    assert second == pytest.approx(first / 2), "half of the cosine is over after one of two epochs"


def test_a_finished_run_that_cannot_be_continued_keeps_its_results(stripes_config, tmp_path, monkeypatch):
    def no_device(*_):
        raise InputError("trainer=cuda, but torch sees no CUDA device")

    run(stripes_config("epochs=1"), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("metrics.json", "predictions.npz", "status.json")}
    monkeypatch.setattr("mnist_zoo.training.run.build_trainer", no_device)
    with pytest.raises(InputError, match="no CUDA device"):
        run(stripes_config("epochs=3", f"resume={tmp_path}"), tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_a_finished_run_that_continues_counts_as_unfinished_until_its_end(stripes_config, tmp_path, monkeypatch):
    run(stripes_config("epochs=1"), tmp_path)
    longer = stripes_config("epochs=3", f"resume={tmp_path}")
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="tested 1 time"), pytest.raises(KeyError):
        patch.setattr(Recorder, "on_train_epoch_end", lambda *_: {}["power cut"])
        run(longer, tmp_path)
    assert read_metrics(tmp_path) is None
    run(longer, tmp_path)
    assert read_metrics(tmp_path)["test_evaluations"] == 2, "counted although the process that started it is gone"


def test_a_batch_that_the_processes_cannot_share_is_refused_before_they_start(stripes_config, tmp_path):
    with pytest.raises(InputError, match="batch_size=64 cannot be shared by 7 processes: use a multiple, or another"):
        run(stripes_config("trainer.devices=7"), tmp_path)


def test_a_checkpoint_of_another_model_is_refused(stripes_config, tmp_path):
    run(stripes_config(), tmp_path)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"was made with other settings \(.*model.name: mlp -> lenet5"):
        run(stripes_config("model=lenet5", f"resume={tmp_path}"), tmp_path)


def test_a_checkpoint_of_other_content_is_one_line(stripes_config, tmp_path):
    """Its checksums are right: another program wrote it, or somebody changed it."""
    run(stripes_config("epochs=1"), tmp_path)
    (tmp_path / "metrics.json").unlink()
    last = tmp_path / "checkpoints/last.ckpt"
    (tmp_path / "checkpoints/best.ckpt").unlink()
    torch.save(torch.load(last, weights_only=True) | {"loops": True}, last)
    with pytest.raises(
        InputError, match=r"last\.ckpt cannot be restored \(TypeError: .*\): delete it to continue from"
    ):
        run(stripes_config("epochs=2", f"resume={tmp_path}"), tmp_path)


class TestResumeWithChanges:
    """A run continues as what it is. Nothing is overwritten if it cannot."""

    @pytest.fixture(params=["unfinished", "finished"])
    def stopped(self, request, stripes_config, tmp_path):
        """A run of two epochs, and the config that resumes it for four."""
        run(stripes_config("epochs=2"), tmp_path / "run")
        if request.param == "unfinished":
            (tmp_path / "run/metrics.json").unlink()
        return tmp_path / "run", stripes_config("epochs=4", f"resume={tmp_path / 'run'}")

    @staticmethod
    def kept(folder) -> dict:
        """What must not change when a run is refused."""
        names = ("metrics.json", "predictions.npz", "curves.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
        files = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
        return files | {key: read_status(folder)[key] for key in ("config", "data_fingerprint", "version", "identity")}

    @pytest.mark.parametrize("status", ["sound", slow("damaged"), "missing"])
    def test_other_images_are_refused_even_if_the_status_is_lost(self, stopped, status):
        folder, cfg = stopped
        before = self.kept(folder)
        cfg["data"]["test"] = 30  # another draw of the test set
        if status != "sound":
            (folder / "status.json").unlink()
        if status == "damaged":
            (folder / "status.json").write_text('{"state": 7')
        for on_change in ("stop", "keep"):
            with pytest.raises(InputError, match=r"data fingerprint: \w+ -> \w+.*\): choose on_change=rerun \("):
                run(cfg | {"on_change": on_change}, folder)
        if status == "sound":
            assert self.kept(folder) == before

    def test_other_settings_are_refused(self, stopped):
        folder, cfg = stopped
        before = self.kept(folder)
        with pytest.raises(InputError, match=r"made with other settings \(lr: 0.001 -> 0.5\): choose on_change=rerun"):
            run(cfg | {"lr": 0.5, "on_change": "keep"}, folder)
        assert self.kept(folder) == before

    def test_another_version_continues_if_asked_to_and_is_recorded(self, stopped, monkeypatch):
        folder, cfg = stopped
        before = self.kept(folder)
        monkeypatch.setattr("mnist_zoo.runs.identity.__version__", "9.9")
        with pytest.raises(InputError, match=r"\(mnist_zoo: .* -> 9\.9\): choose on_change=keep \(continue"):
            run(cfg, folder)
        assert self.kept(folder) == before
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a second test
            run(cfg | {"on_change": "keep"}, folder)
        assert read_metrics(folder)["epochs_run"] == 4
        assert len(read_status(folder)["changes"]) == 1 and read_status(folder)["version"] == "9.9"

    def test_it_starts_again_if_asked_to(self, stopped, stripes_config, tmp_path, results):
        folder, cfg = stopped
        cfg["lr"] = 0.5
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            run(cfg | {"on_change": "rerun"}, folder)
        run(stripes_config("epochs=4", "lr=0.5"), tmp_path / "new")
        assert results(folder)["curves"] == results(tmp_path / "new")["curves"]

    def test_what_cannot_start_again_keeps_its_files(self, stopped):
        folder, cfg = stopped
        before = self.kept(folder)
        with pytest.raises(InputError, match="batch_size=64 cannot be shared by 7 processes"):
            run(cfg | {"lr": 0.5, "on_change": "rerun", "trainer": cfg["trainer"] | {"devices": 7}}, folder)
        assert self.kept(folder) == before

    def test_neutral_settings_may_change(self, stopped):
        folder, cfg = stopped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            run(cfg | {"output_dir": "elsewhere", "progress": "lines", "speed": {"off": ["fused"]}}, folder)
        assert "changes" not in read_status(folder)

    def test_fewer_epochs_than_it_has_are_refused(self, stripes_config, tmp_path):
        run(stripes_config("epochs=3"), tmp_path)
        (tmp_path / "metrics.json").unlink()
        with pytest.raises(InputError, match="has trained more than epochs=2 already: ask for more epochs"):
            run(stripes_config("epochs=2", f"resume={tmp_path}"), tmp_path)


class TestFullDisk:
    """A process may write files of this many bytes. A larger one ends as on a full disk."""

    @staticmethod
    @contextmanager
    def limit(size: int):
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:  # at once: pytest itself may write to a larger file
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @pytest.mark.parametrize(
        ("size", "settings", "name"),
        [
            (100, (), "status.json"),
            (100_000, (), "last.new"),
            (100_000, ("logger=tensorboard",), "last.new"),
        ],
        ids=str,
    )
    def test_it_is_one_line_and_the_folder_is_free(self, stripes_config, tmp_path, size, settings, name):
        cfg = stripes_config("epochs=1", *settings)
        line = rf"^cannot write .*{name} \(File too large\): "
        with pytest.raises(StorageError, match=line) as caught, self.limit(size):
            run(cfg, tmp_path)
        assert "\n" not in str(caught.value) and not in_use(tmp_path)
        assert not [path for path in tmp_path.rglob("*") if ".new" in path.name or path.name.startswith(".s")]

    def test_the_run_continues_when_there_is_space_again(self, stripes_config, tmp_path, results):
        run(stripes_config("epochs=2"), tmp_path / "whole")
        run(stripes_config("epochs=1"), tmp_path / "cut")
        (tmp_path / "cut/metrics.json").unlink()
        longer = stripes_config("epochs=2", f"resume={tmp_path / 'cut'}")
        with pytest.raises(StorageError), self.limit(100_000):
            run(longer, tmp_path / "cut")
        assert read_status(tmp_path / "cut")["state"] == "failed"
        run(longer, tmp_path / "cut")
        assert results(tmp_path / "cut")["curves"] == results(tmp_path / "whole")["curves"]


@pytest.mark.parametrize("status", ["running", "damaged"])
def test_a_status_that_a_killed_process_did_not_write_is_completed(stripes_config, tmp_path, status):
    cfg = stripes_config("epochs=1")
    run(cfg, tmp_path)
    whole = read_status(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps(whole | {"state": "running"}) if status == "running" else "{")
    (tmp_path / ".status.json.x1y2").write_text("half wri")
    run(cfg | {"resume": str(tmp_path)}, tmp_path)
    now = read_status(tmp_path)
    kept = ("state", "config", "data_fingerprint", "version")
    assert {key: now[key] for key in kept} == {key: whole[key] for key in kept}
    assert not list(tmp_path.glob(".status*"))


@pytest.mark.slow
def test_killed_runs_and_sweeps_end_as_if_nothing_had_happened():
    """See kill_loop.py: about ten kills at random moments, and a damaged status.json between some."""
    line = [sys.executable, str(Path(__file__).with_name("kill_loop.py")), "--kills=10", "--most=3", "--seed=1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and " 0 failed" in done.stdout, done.stdout + done.stderr


def test_a_loss_that_becomes_nan_stops_the_run_and_names_epoch_and_lr(stripes_config, tmp_path):
    with pytest.raises(DivergedError, match=r"train_loss became nan in epoch \d at lr=1e\+20: use a lower lr"):
        run(stripes_config("lr=1e20", "optimizer=sgd"), tmp_path)
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "failed" and "nan" in status["reason"]
    assert not (tmp_path / "metrics.json").exists()


class TestProcess:
    """A run changes settings of the process only if asked to."""

    class Spy(Callback):
        """Notes the settings of the process during training."""

        def on_train_epoch_start(self, trainer, module):
            self.product = (torch.tensor([1e-40]) * torch.ones(1)).item()  # subnormal
            self.precision = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    @pytest.fixture(autouse=True)
    def untouched(self, monkeypatch):
        torch.set_flush_denormal(False)
        monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
        yield
        torch.set_flush_denormal(False)

    @pytest.mark.parametrize(
        ("arguments", "settings", "applied"),
        [
            ({}, [], []),
            ({"tune_process": True}, [], ["memory", "subnormals", "cuda_check"]),
            ({"tune_process": True}, ["speed.off=[subnormals]"], ["memory", "cuda_check"]),
            ({"tune_process": True}, ["speed=none"], []),
        ],
    )
    def test_optimisations_of_the_process_are_made_only_when_asked(
        self, stripes_config, tmp_path, monkeypatch, arguments, settings, applied
    ):
        memory = []
        monkeypatch.setitem(
            switch._PROCESS, "memory", lambda on_cpu: memory.append("set") or True
        )  # it cannot be undone
        spy = self.Spy()
        run(stripes_config("epochs=1", *settings), tmp_path / "run", callbacks=[spy], **arguments)
        found = read_metrics(tmp_path / "run")["speed"]
        on = [name for name in found if name in ("memory", "subnormals", "cuda_check")]
        assert applied == on
        assert (spy.product == 0) is ("subnormals" in applied)
        assert bool(memory) is ("memory" in applied)

    @pytest.mark.parametrize(("precision", "tf32"), [("highest", False), ("medium", True)])
    def test_the_precision_of_products_is_that_of_the_run_and_is_restored(
        self, stripes_config, tmp_path, precision, tf32
    ):
        """On a GPU also that of convolutions, whose default is TF32."""
        spy = self.Spy()
        run(stripes_config("epochs=1", f"trainer.matmul_precision={precision}"), tmp_path / "run", callbacks=[spy])
        assert spy.precision == (precision, tf32)
        assert torch.get_float32_matmul_precision() == "highest" and torch.backends.cudnn.allow_tf32

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_a_step_does_not_look_for_cuda(self, stripes_config, tmp_path, monkeypatch):
        searches = []
        monkeypatch.setattr("torch.cuda.device_count", lambda: searches.append(1) or 0)
        run(stripes_config("batch_size=16"), tmp_path / "run", tune_process=True)
        assert len(searches) < 33, "fewer than there were steps"

    def test_an_unknown_precision_of_products_is_refused(self, stripes_config, tmp_path):
        with pytest.raises(InputError, match=r"matmul_precision=tf32: it must be one of highest, high, medium"):
            run(stripes_config("trainer.matmul_precision=tf32"), tmp_path)


def test_what_can_change_the_result_is_in_the_record(stripes_config, tmp_path):
    run(stripes_config("epochs=1", "trainer.precision=bf16-mixed", "data.normalize=false"), tmp_path / "run")
    config = read_metrics(tmp_path / "run")["config"]
    assert config["data"] == {"normalize": False}
    assert config["trainer"] == {"precision": "bf16-mixed", "matmul_precision": "highest"}


def test_gradients_are_clipped_under_mixed_precision(stripes_config, tmp_path):
    run(stripes_config("trainer.precision=bf16-mixed", "grad_clip=1"), tmp_path / "run")
    assert read_metrics(tmp_path / "run")["test_acc"] > 0.5


def test_early_stopping_ends_the_run(stripes_config, tmp_path):
    stop = ("early_stop.monitor=val_acc", "early_stop.patience=1", "early_stop.min_delta=0.9")
    run(stripes_config("epochs=20", *stop), tmp_path)
    metrics = read_metrics(tmp_path)
    assert metrics["epochs_run"] == 2 and metrics["stopped_early"] and metrics["epochs"] == 20


def test_the_best_epoch_can_be_chosen_by_loss(stripes_config, tmp_path):
    run(stripes_config("monitor=val_loss", "lr=0.05", "epochs=6"), tmp_path)
    rows = read_curves(tmp_path)
    assert read_metrics(tmp_path)["best_epoch"] == min(rows, key=lambda row: row["val_loss"])["epoch"]


def test_ema_is_what_is_tested(stripes_config, tmp_path):
    run(stripes_config("ema=0.99", "lr=0.01"), tmp_path)
    checkpoint = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)
    averaged, trained = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert not torch.allclose(averaged["model.head.weight"], trained["model.head.weight"])
    tested = predictions_of(tmp_path)["logits"]
    best = LitClassifier.load_from_checkpoint(tmp_path / "checkpoints/best.ckpt").eval()
    assert torch.equal(best.model.head.weight, averaged["model.head.weight"])
    images, _ = next(iter(MNISTDataModule("stripes").test_dataloader()))
    with torch.no_grad():
        assert np.allclose(best(images).numpy(), tested, atol=1e-4)


def test_ema_can_be_sent_to_the_processes_of_ddp():
    assert pickle.loads(pickle.dumps(EMA(0.9))).decay == 0.9


@pytest.mark.parametrize("setting", ["+trainer.max_steps=5"])
def test_an_epoch_without_validation_is_an_error_that_says_what_to_change(stripes_config, tmp_path, setting):
    with pytest.raises(InputError, match=r"epoch 1 ended without validation.*max_steps, limit_val_batches"):
        run(stripes_config("batch_size=16", setting), tmp_path / "run")
    assert read_metrics(tmp_path / "run") is None


def test_a_plugin_that_is_not_there_is_named(stripes_config, tmp_path):
    with pytest.raises(InputError, match="plugins: cannot import 'no_such_package'"):
        run(stripes_config("plugins=[no_such_package]"), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_device_says_so(stripes_config, tmp_path):
    with pytest.raises(InputError, match="trainer=cuda, but torch sees no CUDA device"):
        run(stripes_config("trainer=cuda"), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda_trains_and_auto_picks_it(stripes_config, tmp_path):
    for name in ("cuda", "auto"):
        run(stripes_config(f"trainer={name}"), tmp_path / name)
        assert read_metrics(tmp_path / name)["device"] == torch.cuda.get_device_name()


@pytest.mark.parametrize("logger", ["mlflow", "wandb"])
def test_a_missing_extra_says_what_to_install(stripes_config, tmp_path, logger, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cfg = stripes_config()
    cfg["logger"] = {"name": logger}
    with pytest.raises(InputError, match=rf"pip install '.*{logger}"):
        run(cfg, tmp_path)


def test_more_threads_than_free_cores_give_a_warning(stripes_config, tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (8.0, 0.0, 0.0))
    monkeypatch.setattr("mnist_zoo.training.run.cores", lambda: 2)
    run(stripes_config("epochs=1"), tmp_path / "one thread")  # a warning would be an error here
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    with pytest.warns(UserWarning, match=r"2 threads share 2 cores, and 8\.0 cores are busy .* set OMP_NUM_THREADS=1"):
        run(stripes_config("epochs=1"), tmp_path / "two threads")


@pytest.mark.slow
def test_an_error_in_one_of_several_processes_is_still_one_line(config, tmp_path):
    small = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "trainer=ddp", "trainer.accelerator=cpu")
    with pytest.raises(DivergedError, match=r"^train_loss became nan in epoch 1 at lr=1e\+20"):
        run(config(*small, "lr=1e20", "optimizer=sgd"), tmp_path)
    assert json.loads((tmp_path / "status.json").read_text())["reason"].startswith("DivergedError: train_loss became")


@pytest.mark.slow
def test_two_processes_train_as_one(config, tmp_path, capfd):
    """The same images in each step and the mean of the gradients: equal but for the order of additions."""
    small = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "epochs=3", "augment=affine", "ema=0.9")
    run(config(*small, "trainer=cpu"), tmp_path / "one")
    run(config(*small, "trainer=ddp", "trainer.accelerator=cpu"), tmp_path / "two")
    said = capfd.readouterr().err
    assert "Initializing distributed" not in said and "sync_dist" not in said, "Lightning is quiet in both processes"
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert two["n_test"] == one["n_test"] == len(predictions_of(tmp_path / "two")["labels"])
    for key in ("train_loss", "val_loss", "test_loss"):
        assert two[key] == pytest.approx(one[key], rel=1e-5)
    for alone, shared in zip(read_curves(tmp_path / "one"), read_curves(tmp_path / "two"), strict=True):
        for key in ("train_loss", "train_acc", "val_loss", "val_acc"):  # 333 images: 167 and 166
            assert shared[key] == pytest.approx(alone[key], rel=1e-5)
    assert math.isfinite(two["train_images_per_second"]) and two["peak_memory_bytes"] > 1e7


def test_the_width_of_digits_tells_configurations_apart(stripes_config, tmp_path):
    for name, words in (("plain", []), ("narrow", ["+data.filters.width=10"])):
        run(stripes_config("epochs=1", *words), tmp_path / name)
    assert read_metrics(tmp_path / "plain")["config"]["data"] == {"normalize": True}
    assert read_metrics(tmp_path / "narrow")["config"]["data"] == {"normalize": True, "width": 10}
    labels = read_runs([tmp_path]).table["label"]
    assert any("data.width=10" in label for label in labels) and labels.nunique() == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_model_learns_through_the_whole_run(stripes_config, tmp_path, name):
    # Sigmoids, LeNet-5's own, take more steps than this to leave the plateau at the start; GoogLeNet's batch norms take
    # more to know their means, and what they have by then depends on the processor.
    own = {"lenet5": ("model.activation=tanh",), "googlenet": ("epochs=6",)}.get(name, ())
    run(stripes_config(f"model={name}", "batch_size=16", "lr=2e-3", *own), tmp_path)
    metrics, rows = read_metrics(tmp_path), read_curves(tmp_path)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] and metrics["test_acc"] >= 0.5
    assert metrics["model"] == name and metrics["flops"] > 2 * 10_000


@pytest.mark.slow
def test_memory_stays_flat_over_many_runs_in_one_process(tmp_path):
    """With TensorBoard, in a process of its own. What the first runs load is not counted."""
    code = f"""
from pathlib import Path
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.names import register_resolvers
from mnist_zoo.training.run import run
register_resolvers()
cfg = compose_config(
    ["model=mlp", "data=mnist5k", "data.train_fraction=0.1", "epochs=1", "trainer=cpu", "progress=none"]
)
for number in range(30):
    run(cfg | {{"seed": number}}, Path({str(tmp_path)!r}) / str(number))
    if number in (9, 29):
        print("resident", int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    after_10, after_30 = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("resident"))
    # The images of a run that stays alive are 4 MB. The allocator and Python's caches grow by about 0.5 MB a run.
    assert after_30 - after_10 < 25e6, "each run leaves memory behind"
