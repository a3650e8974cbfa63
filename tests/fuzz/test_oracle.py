"""The oracle of the fuzz finds each class of faults: a check that cannot fail shows nothing."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.commands import DOORS, Outcome, call
from fuzz.damage import KINDS, damage
from fuzz.judge import judge_line
from fuzz.lines import Line, line, training
from fuzz.oracle import faults, run_faults
from fuzz.table import ACCEPTED, REFUSED, valid
from fuzz.watch import snapshot


def classes(found: list[str]) -> set[str]:
    return {fault.partition(":")[0] for fault in found}


def done(status: int | None = 0, stderr: str = "", stdout: str = "") -> Outcome:
    return Outcome(status, stdout, stderr, 0.0)


def raises() -> None:
    raise KeyError("x")


def waits() -> None:
    time.sleep(60)


def loops() -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def stops() -> None:
    print("error: the cause: the cure", file=sys.stderr)
    sys.exit(1)


def warns() -> None:
    warnings.warn("odd", stacklevel=1)


def fills_memory() -> None:
    bytearray(1 << 40)


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("command", "found"),
    [(raises, {"traceback"}), (fills_memory, {"traceback"}), (interrupted, {"traceback"}), (waits, {"hang"}),
     (loops, {"hang"}), (warns, {"message"}), (stops, set()), (lambda: None, set()), (lambda: sys.exit(3), {"status"}),
     (lambda: sys.exit("error: text"), set())],
)  # fmt: skip
def test_a_command_in_this_process(command: Callable[[], None], found: set[str], tmp_path: Path) -> None:
    assert classes(faults(call(command, [], tmp_path, limit=1.5))) == found


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (done(1, "error: a: b\n"), set()),
        (done(1, "warning: c\nerror: a: b\n"), set()),
        (done(2, "usage: x [-h]\nx: error: no\n"), set()),
        (done(2, "usage: x [-h]\nx: error: a\nb\n"), {"message"}),
        (done(2, "usage: x [-h]\nx: error: \x1b[2J\n"), {"message"}),
        (done(0, "warning: c\n"), set()),
        (done(1, ""), {"message"}),
        (done(1, "error: a\nerror: b\n"), {"message"}),
        (done(1, "error: a\nsomething\n"), {"message"}),
        (done(0, "error: a\n"), {"message"}),
        (done(1, "error: \x1b[2J\n"), {"message"}),
        (done(1, f"error: {'x' * 5000}\n"), {"message"}),
        (done(1, "Traceback (most recent call last):\nKeyError: 1\n"), {"traceback"}),
        (done(0, "", "Traceback (most recent call last):\nKeyError: 1\n"), {"traceback"}),
        (done(-9, ""), {"status"}),
    ],
)
def test_the_outcome_of_a_process(outcome: Outcome, found: set[str]) -> None:
    assert classes(faults(outcome)) == found


def test_files_outside_the_allowed_places_are_found(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "inside").mkdir()

    def writes() -> None:
        Path("../inside/x").write_text("x")
        Path("../outside").write_text("x")
        Path("../folder").mkdir()

    found = faults(call(writes, [], work), places=[tmp_path / "inside"])
    assert found == [f"escape: wrote {tmp_path / 'folder'}", f"escape: wrote {tmp_path / 'outside'}"]


def test_temporary_files_beside_an_output_and_folders_of_downloads_are_allowed(tmp_path: Path) -> None:
    def writes() -> None:
        Path("data/.download-1").mkdir(parents=True)
        for name in (".out.x1", "other.x1", "data/.download-1/x", "data/images"):
            Path(name).write_text("x")
        shutil.rmtree("data/.download-1")  # it removes by names relative to open folders

    found = faults(call(writes, [], tmp_path), places=[tmp_path / "out"], downloads=[tmp_path / "data"])
    assert found == [f"escape: wrote {tmp_path / 'data/images'}", f"escape: wrote {tmp_path / 'other.x1'}"]


def test_programs_are_found_and_the_network_is_refused(tmp_path: Path) -> None:
    import socket

    def connects() -> None:
        socket.create_connection(("localhost", 9))

    def starts() -> None:
        subprocess.call(["true"])

    assert classes(faults(call(starts, [], tmp_path))) == {"program"}
    assert "Network is unreachable" in call(connects, [], tmp_path).raised


def test_a_change_of_earlier_results_is_found(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    before = snapshot(tmp_path)
    (tmp_path / "new").touch()
    assert faults(done(), before=before, after=snapshot(tmp_path)) == []
    (tmp_path / "metrics.json").write_text("[]")
    assert faults(done(), before=before, after=snapshot(tmp_path)) == ["lost: metrics.json was changed"]


def test_an_accepted_line_that_must_be_refused_is_silent(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "beside").mkdir()
    assert "silent" in classes(judge_line(training(["lr=0"], "refused"), done(0), tmp_path))
    assert "refused" in classes(judge_line(training(["lr=1"], "accepted"), done(1, "error: a\n"), tmp_path))
    assert classes(judge_line(training(["lr=1"]), done(0), tmp_path)) == {"silent"}  # there is no run


@pytest.mark.parametrize(
    ("changes", "found"),
    [({}, 0), ({"val_acc": 7}, 1), ({"val_acc": None}, 1), ({"test_loss": float("nan")}, 1), ({"train_acc": True}, 1)],
)
def test_metrics_that_cannot_be_are_found(changes: dict[str, object], found: int, tmp_path: Path) -> None:
    metrics = {f"{split}_{name}": 0.5 for split in ("train", "val", "test") for name in ("acc", "loss")} | changes
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "status.json").write_text('{"state": "finished"}')
    (tmp_path / "predictions.npz").touch()
    assert len(run_faults(tmp_path)) == found


def test_an_unfinished_run_is_found(tmp_path: Path) -> None:
    assert classes(run_faults(tmp_path)) == {"silent"}


def test_what_a_command_changes_of_the_process_is_restored(tmp_path: Path) -> None:
    import os

    def changes() -> None:
        os.environ["FUZZ_X"] = "1"
        os.chdir("/")
        sys.argv[:] = []
        print("out"), print("err", file=sys.stderr), os.write(1, b"descriptor\n")

    state = Path.cwd(), [*sys.argv], sys.stdout, sys.stderr
    outcome = call(changes, ["a"], tmp_path)
    assert outcome.stdout == "out\ndescriptor\n" and outcome.stderr == "err\n"
    assert (Path.cwd(), sys.argv, sys.stdout, sys.stderr) == state and "FUZZ_X" not in os.environ


def test_a_case_depends_on_its_seed_and_number_only() -> None:
    lines = [line(3, number) for number in range(60)]
    assert [line(3, number) for number in reversed(range(60))] == lines[::-1]
    assert len(set(lines)) > 50 and len({one.door for one in lines}) > 5
    assert lines != [line(4, number) for number in range(60)]


def test_the_base_gives_way_to_the_words_of_a_line() -> None:
    words = training(["model=cnn", "epochs=2"]).words
    assert words.count("epochs=2") == 1 and "epochs=1" not in words and "model.hidden=[4]" not in words


@pytest.mark.parametrize(
    ("key", "value", "default", "expected"),
    [("lr", 0, 1e-3, False), ("lr", 0.1, 1e-3, True), ("data.normalize", "maybe", True, False), ("x", None, None, None),
     ("augment.fill", 3, "zeros", False), ("epochs", 1.5, 10, False), ("seed", True, 0, False)],
)  # fmt: skip
def test_the_second_opinion_on_values(key: str, value: object, default: object, expected: bool | None) -> None:
    assert valid(key, value, default) is expected


def test_the_table_has_no_line_twice() -> None:
    assert len({*REFUSED, *ACCEPTED}) == len(REFUSED) + len(ACCEPTED)
    assert len(REFUSED) > 200 and {"mnist_zoo", "status", "report", "predict", "export"} <= set(DOORS)
    assert str(Line("status", ("a b",))) == "python -m mnist_zoo.status 'a b'"


@pytest.mark.parametrize("kind", ["json", "lines"])
def test_damage_is_repeatable_and_changes_the_file(kind: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "file", json.dumps({"a": [1, {"b": "c"}], "d": 0.5}, indent=1)
    changed, used = 0, set()
    for seed in range(60):
        results = []
        for _ in range(2):
            if path.is_dir() and not path.is_symlink():
                path = tmp_path / f"file{seed}"
            path.unlink(missing_ok=True)
            path.write_text(whole)
            used.add(damage(random.Random(seed), kind, path))
            results.append(path.read_bytes() if path.is_file() and not path.is_symlink() else b"?")
        assert results[0] == results[1]
        changed += results[0] != whole.encode()
    assert changed > 50 and used == {how.__name__ for how in KINDS[kind]}
