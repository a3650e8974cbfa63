"""Run folders: written, found, read, compared, and shown by ``python -m mnist_zoo.status``."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_zoo import status as door
from mnist_zoo.errors import DivergedError, InputError, StorageError
from mnist_zoo.files import write_atomically
from mnist_zoo.runs import (
    CURVE_COLUMNS,
    Damaged,
    DamagedFile,
    DamagedRuns,
    FolderInUse,
    RunFolder,
    find_runs,
    in_use,
    read_config,
    read_curves,
    read_job,
    read_metrics,
    read_overrides,
    read_predictions,
    read_status,
    read_sweep,
    sweeping,
    swept,
    watching,
)
from mnist_zoo.runs.identity import comparable, differences, identity, is_neutral
from mnist_zoo.runs.records import STATUS
from mnist_zoo.runs.status import run_status, sweep_status, table
from mnist_zoo.splits import SPLITS

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests/fixtures/0.1.0"
METRICS = json.loads((OLD / "run/metrics.json").read_text()) | {"val_acc": 0.5, "test_acc": 0.25, "epochs_run": 3}
PREDICTIONS = {
    "logits": np.zeros((2, 10), np.float32),
    "labels": np.array([3, 1]),
    "val_logits": np.ones((1, 10), np.float32),
    "val_labels": np.array([0]),
}
READERS = {
    "status.json": read_status,
    "metrics.json": read_metrics,
    "job.json": read_job,
    "sweep.json": read_sweep,
    "curves.csv": read_curves,
    "predictions.npz": read_predictions,
    ".hydra/overrides.yaml": read_overrides,
    ".hydra/config.yaml": read_config,
}
RECORDS: dict[str, dict] = {
    "status.json": {"state": "failed", "reason": "x", "epoch": 1, "epochs": 2, "seconds_per_epoch": 0.5, "config": {}},
    "metrics.json": METRICS,
    "job.json": {"overrides": ["lr=1"], "conf": "abc"},
    "sweep.json": {"sweep": None, "jobs": ["lr=1", "lr=2,model=mlp-1a"]},
}
NO_FRACTIONS = (-0.1, 1.1, 7, math.nan, math.inf, None, True, "0.5", [0.5], {}, 10**400)
NO_COUNTS = (-1, 1.5, math.nan, None, True, "3", [3], 10**30)
NO_NAMES = (
    "../x",
    "/x",
    "a/b",
    "a\\b",
    "C:\\x",
    "C:x",
    "..",
    ".",
    "",
    "a\nb",
    "\x1b[2J",
    "a\0",
    7,
    None,
    ["x"],
    "\ud800",
)
DAMAGED_FIELDS = [
    *[("metrics.json", {key: value}) for key in ("val_acc", "test_acc") for value in NO_FRACTIONS],
    *[("metrics.json", {key: value}) for key in ("epochs", "epochs_run", "n_test") for value in NO_COUNTS],
    *[("metrics.json", {"test_loss": value}) for value in (-0.1, math.nan, math.inf, None, "1")],
    *[("metrics.json", {key: value}) for key in ("model", "versions", "augment") for value in (7, None, ["x"])],
    ("metrics.json", {"versions": {"torch": 2}}),
    *[("status.json", {key: value}) for key in ("epoch", "epochs") for value in NO_COUNTS],
    *[("status.json", {"state": value}) for value in ("done", None, 1, ["running"])],
    ("status.json", {"reason": 7}),
    ("status.json", {"seconds_per_epoch": -1}),
    ("status.json", {"config": [1]}),
    ("job.json", {"overrides": "lr=1"}),
    ("job.json", {"overrides": [1]}),
    ("job.json", {"conf": None}),
    ("sweep.json", {"jobs": "abc"}),
    ("sweep.json", {"jobs": {"a": 1}}),
    *[("sweep.json", {"jobs": ["a", value]}) for value in NO_NAMES],
]
HEADER = ",".join(CURVE_COLUMNS)


def find_all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


quick = settings(max_examples=25, deadline=None, derandomize=True)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
amounts, fractions = st.floats(0, allow_nan=False, allow_infinity=False), st.floats(0, 1)
curve_rows = st.fixed_dictionaries(
    dict.fromkeys(("lr", "seconds", "images_per_second"), amounts)
    | dict.fromkeys(("train_loss", "val_loss"), floats)
    | dict.fromkeys(("train_acc", "val_acc"), fractions)
)
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
            assert read_status(folder.path)["state"] == "running"
            folder.finish(METRICS, PREDICTIONS)
        status = read_status(folder.path)
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
        status = read_status(tmp_path)
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

    def test_the_lock_is_released_if_the_status_cannot_be_written(self, tmp_path, monkeypatch):
        def full(path, content):
            raise StorageError("the disk is full")

        with pytest.raises(ArithmeticError, match="the first error"), RunFolder(tmp_path) as folder:
            folder.start()
            monkeypatch.setattr("mnist_zoo.runs.folder.write_atomically", full)
            raise ArithmeticError("the first error")
        assert not in_use(tmp_path)

    def test_temporary_files_of_a_killed_process_are_removed(self, tmp_path):
        (tmp_path / "checkpoints").mkdir()
        for name in (".status.json.x1", ".metrics.json._y", ".predictions.npz.z", ".curves.csv.a"):
            (tmp_path / name).write_text("")
        for name in ("last.new", "best.new2", ".last.new.abc", "last.ckpt"):
            (tmp_path / "checkpoints" / name).write_text("")
        with RunFolder(tmp_path):
            left = {path.name for path in tmp_path.rglob("*")}
        assert left == {"checkpoints", "last.ckpt", ".lock"}

    def test_a_later_attempt_removes_the_traceback(self, tmp_path):
        with RunFolder(tmp_path) as folder:
            try:
                raise ValueError("broken")
            except ValueError:
                folder.write_traceback()
            assert "ValueError: broken" in (tmp_path / "traceback.txt").read_text()
            folder.start()
        assert not (tmp_path / "traceback.txt").exists()

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_run_with_a_loss_that_is_no_number_does_not_finish(self, tmp_path, value):
        with pytest.raises(DivergedError, match="test_loss of the best epoch is"), RunFolder(tmp_path) as folder:
            folder.start()
            folder.finish(METRICS | {"test_loss": value}, PREDICTIONS)
        assert read_metrics(tmp_path) is None and read_status(tmp_path)["state"] == "failed"

    def test_reopen_and_clear_delete_what_no_longer_holds(self, tmp_path):
        with RunFolder(tmp_path) as folder:
            folder.start()
            folder.write_curves([])
            folder.finish(METRICS, PREDICTIONS)
            folder.last_checkpoint.parent.mkdir()
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
            folder.start()
            copy = pickle.loads(pickle.dumps(folder))
            copy.update(epoch=4)
            assert in_use(tmp_path)
        assert read_status(tmp_path)["epoch"] == 4

    @quick
    @given(
        st.dictionaries(
            st.text().filter(lambda key: key not in ("self", *STATUS.optional, *STATUS.required)),
            json_values,
            max_size=4,
        )
    )
    def test_status_json_holds_what_was_written(self, fields):
        with tempfile.TemporaryDirectory() as place:
            with RunFolder(place) as folder:
                folder.update(**fields, state="running")
                folder.update()
            status = read_status(place)
            assert status.pop("updated") > 0 and status == fields | {"state": "running"}

    @quick
    @given(st.lists(curve_rows, max_size=4))
    def test_curves_are_read_as_they_were_written(self, rows):
        records = [{"epoch": epoch} | row for epoch, row in enumerate(rows, 1)]
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
            (tmp_path / name / "status.json").write_text("{}")  # also a damaged one is found
        assert list(find_runs([tmp_path])) == [tmp_path / "a", tmp_path / "b/2"], "none inside another run"
        assert list(find_runs([tmp_path / "a"])) == [tmp_path / "a"]
        assert list(find_runs([tmp_path / "c", tmp_path / "nothing"])) == []

    @pytest.mark.parametrize(
        ("read", "empty"),
        [
            *[(read, None) for read in (read_status, read_metrics, read_job)],
            *[(read, []) for read in (read_sweep, read_overrides, read_curves)],
            (read_config, {}),
        ],
    )
    def test_a_missing_file_is_empty(self, tmp_path, read, empty):
        assert read(tmp_path) == empty
        (tmp_path / "file").write_text("")
        assert read(tmp_path / "file") == empty

    @pytest.mark.parametrize("name", READERS)
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"7", b"not this", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 500 + b"0" + b"}" * 500, b"PK\x03\x04"],
        ids=lambda content: content[:6],
    )
    def test_a_damaged_file_is_named_with_the_cure(self, tmp_path, name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match=rf"{name} is damaged \(.*\): ") as caught:
            READERS[name](tmp_path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600

    @pytest.mark.parametrize("name", READERS)
    def test_what_is_no_regular_file_is_not_waited_for(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / name)
        with pytest.raises(DamagedFile):
            READERS[name](tmp_path)

    @pytest.mark.parametrize("name", READERS)
    def test_a_file_of_gigabytes_is_not_read(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(10 * 1024**3)  # takes no space
        with pytest.raises(DamagedFile, match="it is larger than"):
            READERS[name](tmp_path)

    @pytest.mark.parametrize(("name", "fields"), DAMAGED_FIELDS, ids=str)
    def test_a_field_with_an_invalid_value_is_named(self, tmp_path, name, fields):
        record = RECORDS[name]
        (tmp_path / name).write_text(json.dumps(record))
        assert READERS[name](tmp_path) in (record, record.get("jobs"))
        (tmp_path / name).write_text(json.dumps(record | fields))
        with pytest.raises(DamagedFile, match=rf"{name} is damaged \({next(iter(fields))} is "):
            READERS[name](tmp_path)

    @pytest.mark.parametrize("name", RECORDS)
    def test_a_missing_field_is_named(self, tmp_path, name):
        (tmp_path / name).write_text("{}")
        with pytest.raises(DamagedFile, match=f"{name} is damaged .it lacks "):
            READERS[name](tmp_path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            (".hydra/overrides.yaml", "lr: 1"),
            (".hydra/overrides.yaml", "- [lr=1]"),
            (".hydra/overrides.yaml", "- 7"),
            (".hydra/config.yaml", "- a"),
            (".hydra/config.yaml", "a: 2020-01-01"),
            (".hydra/config.yaml", "a: 2020-99-99"),
            (".hydra/config.yaml", "a: &a [*a]"),
            (".hydra/config.yaml", "1: 2"),
            (".hydra/config.yaml", "a: !!python/object/apply:os.system [true]"),
            (".hydra/config.yaml", "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
                f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairwise("abcdefghij")
            )),
        ],
    )  # fmt: skip
    def test_yaml_holds_texts_and_numbers_only(self, tmp_path, name, text):
        (tmp_path / ".hydra").mkdir()
        (tmp_path / name).write_text(text)
        with pytest.raises(DamagedFile, match=f"{name} is damaged"):
            READERS[name](tmp_path)

    @pytest.mark.parametrize(
        "rows",
        [
            ["epoch,lr"],
            [HEADER, "1,0.1,1,0.5,1,0.5,1"],
            [HEADER, "1,0.1,1,0.5,1,0.5,1,9,9"],
            [HEADER, "2,0.1,1,0.5,1,0.5,1,9"],
            [HEADER, "1,0.1,1,1.5,1,0.5,1,9"],
            [HEADER, "1,0.1,nan,0.5,1,0.5,1,9"],
            [HEADER, "1,0.1,1,0.5,1,0.5,-1,9"],
            [HEADER, "1,0.1,x,0.5,1,0.5,1,9"],
            [HEADER, "1.5,0.1,1,0.5,1,0.5,1,9"],
            [HEADER, '1,0.1,"1,0.5,1,0.5,1,9'],
        ],
    )
    def test_damaged_curves_are_named(self, tmp_path, rows):
        (tmp_path / "curves.csv").write_text("\n".join([HEADER, "1,0.1,1,0.5,1,0.5,1,9", "2,0,1,0,1,1,0,0"]) + "\n")
        assert [row["epoch"] for row in read_curves(tmp_path)] == [1, 2]
        (tmp_path / "curves.csv").write_text("\n".join(rows))
        with pytest.raises(DamagedFile, match=r"curves\.csv is damaged"):
            read_curves(tmp_path)

    @pytest.mark.parametrize(
        ("arrays", "what"),
        [
            ({"labels": None}, "it lacks labels"),
            ({"labels": np.array([3, 1, 1])}, "2 logits for 3 labels"),
            ({"labels": np.array([3, 10])}, "labels has a label outside 0 to 9"),
            ({"labels": np.array([3, -1])}, "labels has a label outside 0 to 9"),
            ({"labels": np.array([[3, 1]])}, "labels has dtype int64 and shape"),
            ({"labels": np.array([3.0, 1.0])}, "labels has dtype float64"),
            ({"labels": np.array([{}, 1])}, "labels has dtype object"),
            ({"labels": np.array([], int), "logits": np.zeros((0, 10), "f")}, "logits has dtype float32 and shape"),
            ({"logits": np.full((2, 10), np.nan, np.float32)}, "logits has NaN or infinity"),
            ({"val_logits": np.full((1, 10), np.inf, np.float32)}, "val_logits has NaN or infinity"),
            ({"val_logits": np.zeros(10)}, "val_logits has dtype float64 and shape"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_predictions_that_do_not_fit_together_are_named(self, tmp_path, arrays, what):
        kept = {key: array for key, array in (PREDICTIONS | arrays).items() if array is not None}
        np.savez(tmp_path / "predictions.npz", **kept)
        with pytest.raises(DamagedFile, match=rf"predictions\.npz is damaged \({what}"):
            read_predictions(tmp_path)

    def test_a_logit_may_be_minus_infinity(self, tmp_path):
        logits = np.full((2, 10), -np.inf, np.float32)
        logits[:, 0] = 0
        np.savez(tmp_path / "predictions.npz", **(PREDICTIONS | {"logits": logits}))
        assert (read_predictions(tmp_path)["logits"] == logits).all()

    def test_missing_predictions_are_named(self, tmp_path):
        with pytest.raises(DamagedFile, match="there is no such file"):
            read_predictions(tmp_path)

    def test_arrays_that_claim_to_be_large_are_not_loaded(self, tmp_path):
        path = tmp_path / "predictions.npz"
        np.savez_compressed(path, **(PREDICTIONS | {"logits": np.zeros((10**6, 10), np.float32)}))
        with pytest.raises(DamagedFile, match="logits is compressed, or larger than the file"):
            read_predictions(tmp_path)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 10)})
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("logits.npy", header.getvalue())
        with pytest.raises(DamagedFile, match="logits has another size than its shape"):
            read_predictions(tmp_path)

    def test_a_flipped_bit_in_the_predictions_is_found(self, tmp_path):
        path = tmp_path / "predictions.npz"
        np.savez(path, **PREDICTIONS)
        content = bytearray(path.read_bytes())
        content[200] ^= 1  # within the logits
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match="it cannot be read: BadZipFile"):
            read_predictions(tmp_path)

    def test_damaged_folders_are_named_once_and_skipped(self, tmp_path, capsys):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "metrics.json").write_text(json.dumps(METRICS) if name == "b" else "{")
        damaged, read = Damaged(), []
        for folder in (*find_all(tmp_path), *find_all(tmp_path)):
            with damaged.skipped(folder):
                read.append(read_metrics(folder))
        assert read == [METRICS, METRICS] and list(damaged.folders) == [tmp_path / "a"]
        err = capsys.readouterr().err
        assert err.startswith(f"skipped: {tmp_path}/a/metrics.json is damaged") and err.count("\n") == 1
        with pytest.raises(DamagedRuns, match="1 damaged folder was skipped"):
            damaged.stop()
        Damaged().stop()

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

    def test_settings_that_were_added_later_count_only_if_they_change_something(self, config):
        now = config()
        before = {key: value for key, value in now.items() if key != "adversary"}
        before["augment"] = {key: value for key, value in now["augment"].items() if key != "mask"}
        before["data"] = {key: value for key, value in now["data"].items() if key not in ("folds", "fold")}
        assert before["data"] != now["data"] and identity(before, "data") == identity(now, "data")
        assert identity(config("data.folds=5", "data.fold=0"), "data") != identity(now, "data")

    def test_all_others_count(self, config):
        overrides = ["lr=0.1", "model=mlp", "model.dense=96", "seed=1", "epochs=11", "augment=affine", "ema=0.9"]
        overrides += ["augment.noise=0.1", "augment.elastic=0.05"]
        identities = {identity(config(override), "data") for override in overrides}
        identities |= {identity(config(), "data"), identity(config(), "other data")}
        assert len(identities) == len(overrides) + 2
        assert not any(is_neutral(override) for override in overrides)

    def test_a_configuration_of_version_0_1_0_compares_equal(self, config):
        recorded = read_status(OLD / "run")["config"]
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

    def test_a_run_of_two_given_folders_is_shown_once(self, sweep, tmp_path):
        assert sweep_status([tmp_path, sweep, sweep / "lr=0.2"]) == sweep_status([sweep])

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

    def test_a_damaged_run_is_named_and_never_the_best(self, sweep, monkeypatch, capsys):
        best = sweep / "lr=0.2" / "metrics.json"
        best.write_text(best.read_text().replace('"val_acc": 0.75', '"val_acc": 7'))
        (sweep / "stopped/status.json").write_text("[" * 10_000)
        monkeypatch.setattr("sys.argv", ["status", str(sweep)])
        with pytest.raises(SystemExit, match="1"):
            door.main()
        out, err = capsys.readouterr()
        assert "damaged      lr=0.2  metrics.json: val_acc is 7; delete metrics.json and continue the run" in out
        assert "damaged      stopped  status.json: it is nested too deep; continue the run" in out
        assert out.endswith("best by validation: lr=0.1  val 0.5000  test 0.2500  3 epochs\n")
        assert err == "error: 2 damaged folders: see above\n"

    @pytest.mark.parametrize("content", ["{", '{"jobs": ["../../x"]}', '{"jobs": 7}'])
    def test_a_damaged_list_of_jobs_is_named_and_the_runs_are_shown(self, sweep, content):
        (sweep / "sweep.json").write_text(content)
        text = table(sweep_status([sweep]))
        assert "damaged      s  sweep.json: " in text and "finished     lr=0.2  val 0.75" in text

    def test_escapes_of_the_terminal_are_not_printed(self, sweep):
        with RunFolder(sweep / "a\x1b[2Jb") as folder:
            folder.start(epoch=1, epochs=8)
            folder.update(state="failed", reason="Error: \x1b]0;title\x07")
        text = table(sweep_status([sweep]))
        assert "\x1b" not in text and "\x07" not in text and "failed       a\\x1b[2Jb  Error: \\x1b]0;" in text

    def test_watching_ends_when_nothing_runs(self, sweep, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["status", str(sweep), "--watch"])
        door.main()
        out = capsys.readouterr().out
        assert "6 runs: 2 finished" in out
        assert out.endswith("no process works on the 4 that are not finished: --watch ends\n")

    def test_watching_waits_for_a_sweep_that_was_just_started(self, tmp_path, monkeypatch, capsys):
        """First there is no folder, then no job has started, then one runs, then the sweep concludes."""
        place, seen = tmp_path / "s", []
        work = ExitStack()

        def one_step_on(seconds):
            seen.append(place.is_dir() and [status.state for status in sweep_status([place])])
            if len(seen) == 1:
                work.enter_context(sweeping(place))
                (place / "sweep.json").write_text('{"sweep": "s", "jobs": ["a"]}')
            elif len(seen) == 2:
                work.run = work.enter_context(RunFolder(place / "a"))
                work.run.start(epoch=0, epochs=1)
            elif len(seen) == 3:
                work.run.finish(METRICS, PREDICTIONS)
            else:
                work.close()

        monkeypatch.setattr(watching.time, "sleep", one_step_on)
        monkeypatch.setattr("sys.argv", ["status", str(place), "--watch"])
        door.main()
        assert seen == [False, ["to do"], ["running"], ["finished"]]
        out, err = capsys.readouterr()
        assert err == f"there is no folder {place}: waiting for it (at most 60 s)\n"
        assert "1 runs: 1 finished" in out and "no process" not in out
        assert {path.name for path in place.iterdir()} == {"a", "sweep.json"}

    def test_ctrl_c_ends_watching_in_one_line(self, sweep, monkeypatch, capsys):
        def ctrl_c(seconds):
            raise KeyboardInterrupt

        monkeypatch.setattr(watching.time, "sleep", ctrl_c)
        monkeypatch.setattr("sys.argv", ["status", str(sweep), "--watch"])
        with sweeping(sweep), pytest.raises(SystemExit, match="130"):
            door.main()
        assert capsys.readouterr().err == "error: the runs continue without --watch\n"

    def test_several_processes_may_work_on_a_sweep(self, tmp_path):
        (tmp_path / ".lock-of-a-killed-process").write_text("")
        assert not swept(tmp_path)
        with sweeping(tmp_path):
            with sweeping(tmp_path):
                assert len(list(tmp_path.iterdir())) == 2
            assert swept(tmp_path)
        assert not swept(tmp_path) and not list(tmp_path.iterdir())

    @pytest.mark.parametrize("options", [[], ["--watch"]])
    def test_a_folder_without_runs_is_named_in_one_line(self, tmp_path, monkeypatch, capsys, options):
        monkeypatch.setattr(watching, "PATIENCE", 0)
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
