"""Run folders: written, found, read, compared, and shown by ``python -m mnist_zoo.status``."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_zoo import status as door
from mnist_zoo.errors import InputError, StorageError
from mnist_zoo.files import write_atomically
from mnist_zoo.runs import (
    CURVE_COLUMNS,
    FolderInUse,
    RunFolder,
    find_runs,
    in_use,
    read_curves,
    read_json,
    read_metrics,
    read_predictions,
)
from mnist_zoo.runs.identity import comparable, differences, identity, is_neutral
from mnist_zoo.runs.status import run_status, sweep_status, table
from mnist_zoo.splits import SPLITS

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests/fixtures/0.1.0"
METRICS = {"val_acc": 0.5, "test_acc": 0.25, "epochs_run": 3}
PREDICTIONS = {
    "logits": np.zeros((2, 10), np.float32),
    "labels": np.array([3, 1]),
    "val_logits": np.ones((1, 10), np.float32),
    "val_labels": np.array([0]),
}
quick = settings(max_examples=25, deadline=None, derandomize=True)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
curve_rows = st.fixed_dictionaries({"epoch": st.integers(1)} | dict.fromkeys(CURVE_COLUMNS[1:], floats))
leaves = st.integers(0, 2) | st.text(max_size=2) | st.lists(st.integers(0, 2), max_size=2)
nested = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), leaves | inner, max_size=3),
    max_leaves=6,
)


class TestRunFolder:
    def test_a_finished_run_has_its_files(self, tmp_path):
        with RunFolder(tmp_path / "new/run") as folder:
            folder.start(epoch=0, epochs=3)
            assert read_json(folder.path / "status.json")["state"] == "running"
            folder.finish(METRICS, PREDICTIONS)
        status = read_json(folder.path / "status.json")
        assert (status["state"], status["pid"], status["epochs"]) == ("finished", os.getpid(), 3)
        assert read_metrics(folder.path) == METRICS
        arrays = read_predictions(folder.path)
        assert all((arrays[key] == PREDICTIONS[key]).all() for key in PREDICTIONS)
        assert not list(folder.path.glob(".*.json*")), "no temporary file is left"

    @pytest.mark.parametrize(
        ("error", "state", "reason"),
        [
            (ValueError("a bad value\nand details"), "failed", "ValueError: a bad value"),
            (KeyboardInterrupt("stopped by hand"), "interrupted", "KeyboardInterrupt: stopped by hand"),
            (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        ],
    )
    def test_an_error_is_the_reason_in_the_status(self, tmp_path, error, state, reason):
        with pytest.raises(type(error)), RunFolder(tmp_path) as folder:
            folder.start()
            raise error
        status = read_json(tmp_path / "status.json")
        assert (status["state"], status["reason"]) == (state, reason)

    def test_an_error_before_the_start_writes_nothing(self, tmp_path):
        with pytest.raises(ValueError), RunFolder(tmp_path):
            raise ValueError
        assert not (tmp_path / "status.json").exists()

    def test_one_process_owns_a_folder_at_a_time(self, tmp_path):
        with RunFolder(tmp_path):
            hold = f"from mnist_zoo.runs import RunFolder\nwith RunFolder({str(tmp_path)!r}): pass"
            other = subprocess.run(
                [sys.executable, "-c", hold], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
            )
            assert "FolderInUse" in other.stderr and "is in use by another process: wait, or" in other.stderr
            assert in_use(tmp_path)
        assert not in_use(tmp_path) and not in_use(tmp_path / "nothing")
        assert issubclass(FolderInUse, InputError)

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(InputError, match=r"cannot write to .*file/run .*: choose output_dir=DIR"),
            RunFolder(tmp_path / "file/run"),
        ):
            pass

    def test_reopen_and_clear_delete_what_no_longer_holds(self, tmp_path):
        with RunFolder(tmp_path) as folder:
            folder.start()
            folder.write_curves([])
            folder.finish(METRICS, PREDICTIONS)
            folder.last_checkpoint.write_text("")
            (tmp_path / "events.out.tfevents.1").write_text("")
            folder.reopen()
            kept = {"status.json", "curves.csv", "checkpoints", "events.out.tfevents.1", ".lock"}
            assert {path.name for path in tmp_path.iterdir()} == kept
            folder.clear()
            assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", ".lock"}
            assert not list(folder.path.glob("checkpoints/*"))

    def test_a_pickled_folder_writes_but_leaves_the_lock_to_its_owner(self, tmp_path):
        with RunFolder(tmp_path) as folder:
            copy = pickle.loads(pickle.dumps(folder))
            copy.update(epoch=4)
            assert in_use(tmp_path)
        assert read_json(tmp_path / "status.json")["epoch"] == 4

    @quick
    @given(st.dictionaries(st.text().filter(lambda key: key not in ("self", "updated")), json_values, max_size=4))
    def test_status_json_holds_what_was_written(self, fields):
        with tempfile.TemporaryDirectory() as place:
            with RunFolder(place) as folder:
                folder.update(**fields)
                folder.update()
            status = read_json(Path(place) / "status.json")
            assert status.pop("updated") > 0 and status == fields

    @quick
    @given(st.lists(curve_rows, max_size=4))
    def test_curves_are_read_as_they_were_written(self, records):
        with tempfile.TemporaryDirectory() as place:
            with RunFolder(place) as folder:
                folder.write_curves(records)
            assert read_curves(place) == records

    def test_a_failed_write_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "a.json"
        write_atomically(path, "old")
        monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(StorageError, match="disk full"):
            write_atomically(path, "new")
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


class TestReading:
    def test_runs_are_found_at_and_below_a_folder(self, tmp_path):
        for name in ("b/2", "a", "a/checkpoints", "c"):
            (tmp_path / name).mkdir(parents=True)
        for name in ("b/2", "a", "a/checkpoints"):
            (tmp_path / name / "status.json").write_text("{}")
        assert list(find_runs([tmp_path])) == [tmp_path / "a", tmp_path / "b/2"], "none inside another run"
        assert list(find_runs([tmp_path / "a"])) == [tmp_path / "a"]
        assert list(find_runs([tmp_path / "c", tmp_path / "nothing"])) == []

    @pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"not JSON", b"\xff"])
    def test_a_missing_or_damaged_json_file_is_none(self, tmp_path, content):
        if content is not None:
            (tmp_path / "metrics.json").write_bytes(content)
        assert read_metrics(tmp_path) is None

    @pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"not an archive"])
    def test_missing_or_damaged_predictions_are_named_with_the_cure(self, tmp_path, content):
        if content is not None:
            (tmp_path / "predictions.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"predictions\.npz cannot be read \(.*\): delete its folder and run it"):
            read_predictions(tmp_path)

    def test_predictions_without_an_array_are_damaged(self, tmp_path):
        np.savez(tmp_path / "predictions.npz", logits=PREDICTIONS["logits"])
        with pytest.raises(InputError, match="cannot be read"):
            read_predictions(tmp_path)

    def test_a_run_without_curves_has_no_rows(self, tmp_path):
        assert read_curves(tmp_path) == []

    def test_a_run_of_version_0_1_0_is_read(self):
        (folder,) = find_runs([OLD / "run"])
        metrics, curves, arrays = read_metrics(folder), read_curves(folder), read_predictions(folder)
        assert (metrics["model"], metrics["versions"]["mnist_zoo"]) == ("mlp", "0.1.0")
        assert {f"{split}_acc" for split in SPLITS} <= metrics.keys()
        assert [row["epoch"] for row in curves] == [1, 2] and tuple(curves[0]) == CURVE_COLUMNS
        assert arrays["logits"].shape == (metrics["n_test"], 10) and arrays["logits"].dtype == np.float32
        assert (arrays["logits"].argmax(1) == arrays["labels"]).mean() == pytest.approx(metrics["test_acc"])


class TestIdentity:
    def test_settings_that_cannot_change_a_result_do_not_count(self, config):
        plain = identity(config(), "data")
        neutral = ["output_dir=x", "logger=none", "progress=bar", "sweep=s", "data.root=elsewhere", "debug=true"]
        for override in [*neutral, "speed=none", "speed.off=[fused]"]:
            assert identity(config(override), "data") == plain and is_neutral(override), override

    def test_all_others_count(self, config):
        overrides = ["lr=0.1", "model=mlp", "model.dense=96", "seed=1", "epochs=11", "augment=affine", "ema=0.9"]
        identities = {identity(config(override), "data") for override in overrides}
        identities |= {identity(config(), "data"), identity(config(), "other data")}
        assert len(identities) == len(overrides) + 2
        assert not any(is_neutral(override) for override in overrides)

    def test_a_configuration_of_version_0_1_0_compares_equal(self, config):
        recorded = read_json(OLD / "run/status.json")["config"]
        overrides = ["data=mnist5k", "model=mlp", "model.hidden=[4]", "data.train_fraction=0.05", "epochs=2"]
        assert differences(recorded, comparable(config(*overrides, "trainer=cpu"))) == []

    @pytest.mark.parametrize(
        ("old", "new", "found"),
        [
            ({"lr": 1}, {"lr": 2}, ["lr: 1 -> 2"]),
            ({"a": {"b": {"c": 1}}, "x": 1}, {"a": {"b": {"c": 2}}, "x": 1}, ["a.b.c: 1 -> 2"]),
            ({"b": 1}, {"a": 1}, ["a: None -> 1", "b: 1 -> None"]),
            ({"a": {"b": 1}}, {"a": 3}, ["a: {'b': 1} -> 3"]),
            ({"a": None}, {}, []),
        ],
    )
    def test_differences_name_the_settings(self, old, new, found):
        assert differences(old, new) == found

    @quick
    @given(nested, nested)
    def test_there_are_differences_exactly_if_two_configurations_differ(self, old, new):
        assert bool(differences(old, new)) == (old != new)
        there, back = ([line.partition(": ")[0] for line in differences(*pair)] for pair in ((old, new), (new, old)))
        assert there == back, "the same settings in both directions"


@pytest.fixture
def sweep(tmp_path):
    """A sweep with a job in each state, except running."""
    place = tmp_path / "sweeps/s"
    for name, val_acc in (("lr=0.1", 0.5), ("lr=0.2", 0.75)):
        with RunFolder(place / name) as folder:
            folder.start()
            folder.finish(METRICS | {"val_acc": val_acc}, PREDICTIONS)
    with RunFolder(place / "cut") as folder:
        folder.start(epoch=2, epochs=8)
    with pytest.raises(ArithmeticError), RunFolder(place / "lr=9") as folder:
        folder.start(epoch=1, epochs=8)
        raise ArithmeticError("the loss became nan")
    with pytest.raises(KeyboardInterrupt), RunFolder(place / "stopped") as folder:
        folder.start(epoch=3, epochs=8)
        raise KeyboardInterrupt
    (place / "sweep.json").write_text(json.dumps({"sweep": "s", "jobs": ["next", "lr=0.1"]}))
    return place


class TestStatus:
    def test_every_state_is_shown(self, sweep):
        with RunFolder(sweep / "now") as now:
            now.start(epoch=3, epochs=10, seconds_per_epoch=30.0)
            text = table(sweep_status([sweep]))
        assert text.splitlines() == [
            "finished     lr=0.1  val 0.5000  test 0.2500  3 epochs",
            "finished     lr=0.2  val 0.7500  test 0.2500  3 epochs",
            "running      now  epoch 3 of 10, 3 min 30 s left",
            "interrupted  cut  epoch 2 of 8",
            "interrupted  stopped  epoch 3 of 8",
            "failed       lr=9  ArithmeticError: the loss became nan (epoch 1 of 8)",
            "to do        next",
            "",
            "7 runs: 2 finished, 1 running, 2 interrupted, 1 failed, 1 to do",
            "best by validation: lr=0.2  val 0.7500  test 0.2500  3 epochs",
        ]

    def test_a_sweep_is_found_below_a_folder_too(self, sweep, tmp_path):
        assert sweep_status([tmp_path]) == sweep_status([sweep])
        assert run_status(sweep / "lr=0.2").val_acc == 0.75

    @pytest.mark.parametrize(("seconds", "left"), [(1, "8 s"), (60, "8 min 00 s"), (450, "1 h 00 min")])
    def test_the_remaining_time_is_readable(self, tmp_path, seconds, left):
        with RunFolder(tmp_path) as folder:
            folder.start(epoch=0, epochs=8, seconds_per_epoch=seconds)
            assert run_status(tmp_path).detail == f"epoch 0 of 8, {left} left"

    def test_a_sweep_of_version_0_1_0_is_shown(self, tmp_path):
        shutil.copytree(OLD / "sweeps/pair", tmp_path / "pair")
        (status,) = sweep_status([tmp_path])
        metrics = read_metrics(tmp_path / "pair" / status.name)
        assert (status.val_acc, status.test_acc) == (metrics["val_acc"], metrics["test_acc"])
        assert status.state == "finished" and status.detail.endswith("2 epochs")

    def test_the_command_prints_the_table(self, sweep, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["status", str(sweep)])
        door.main()
        assert capsys.readouterr().out == table(sweep_status([sweep])) + "\n"

    def test_watching_ends_when_nothing_runs(self, sweep, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["status", str(sweep), "--watch"])
        door.main()
        assert "6 runs: 2 finished" in capsys.readouterr().out

    @pytest.mark.parametrize("options", [[], ["--watch"]])
    def test_a_folder_without_runs_is_named_in_one_line(self, tmp_path, monkeypatch, capsys, options):
        for folder, message in ((tmp_path, f"{tmp_path} holds no run"), (tmp_path / "no", "there is no folder")):
            monkeypatch.setattr("sys.argv", ["status", str(folder), *options])
            with pytest.raises(SystemExit, match="1"):
                door.main()
            err = capsys.readouterr().err
            assert err.startswith(f"error: {message}") and err.count("\n") == 1

    def test_the_command_imports_neither_torch_nor_numpy(self, sweep):
        line = [sys.executable, "-X", "importtime", "-m", "mnist_zoo.status", str(sweep)]
        done = subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
        assert "6 runs" in done.stdout and not imported & {"torch", "numpy", "hydra"}
