"""Kill runs and sweeps (SIGKILL) at random moments, damage ``status.json``, continue them, and compare what comes out.

    python tests/kill_loop.py --kills 40 --seed 0

Each command runs in a fork of this process, which has imported everything: most kills hit the work, not the imports.
Prints one line for each trial, and ends with status 1 if a trial ended in another way than without kills.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

import mnist_zoo.training.run  # noqa: F401  # imported here, once
from mnist_zoo.__main__ import main
from mnist_zoo.runs import find_runs, read_curves, read_metrics, read_predictions

SMALL = ["data=mnist5k", "model=mlp", "data.train_fraction=0.3", "trainer=cpu", "logger=none", "epochs=3"]
SMALL += ["augment=affine", "ema=0.9", "scheduler=onecycle", "batch_size=32"]
DAMAGES = [b"", b"{", b"[1]", b'{"state": 7}', b"\x00" * 300, b"[" * 5000]
UNKNOWN = "its settings are not known"
CURVES = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc")
# Not compared: times, and versions, which hold the commit of this checkout: somebody may commit while the loop runs.
NO_RESULTS = ("fit_seconds", "train_images_per_second", "peak_memory_bytes", "date", "versions")


def command(arguments: list[str], log: Path, seconds: float | None = None) -> int | None:
    """Run a command; kill it after this time. Return its exit status, or None if it was killed."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.dup2(1, 2)
            sys.argv = ["mnist_zoo", *arguments]
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    deadline = time.monotonic() + (300 if seconds is None else seconds)
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def results(place: Path) -> dict:
    """Return what must be equal, by folder and name: metrics, each epoch of the curves, and all logits."""
    found = {}
    for folder in find_runs([place]):
        metrics = read_metrics(folder)
        assert metrics is not None, f"{folder.name} is not finished"
        own = {key: value for key, value in metrics.items() if key not in NO_RESULTS}
        own |= {f"epoch {row['epoch']:g}": {key: row[key] for key in CURVES} for row in read_curves(folder)}
        own |= {f"array {key}": array.tobytes() for key, array in read_predictions(folder).items()}
        found |= {(folder.name, key): value for key, value in own.items()}
    return found


def different(found: dict, expected: dict) -> list[str]:
    """Return the names of what differs between two `results`."""
    keys = sorted({*found, *expected})
    return [" ".join(key) for key in keys if found.get(key) != expected.get(key)]


def leftovers(place: Path) -> list[str]:
    """Return files that no finished run or sweep should hold."""
    patterns = (".*.json.*", "*.new*", "traceback.txt", ".lock-*")
    return [path.name for pattern in patterns for path in place.rglob(pattern)]


def trial(kind: str, place: Path, whole: dict, span: float, rng: random.Random, most: int) -> tuple[int, int]:
    """Kill a run or a sweep up to `most` times and compare its end. Return the kills and the damaged files."""
    kills = damaged = 0
    rerun: list[str] = []
    log = place.with_suffix(".log")
    while True:
        resume = kind == "run" and (place / "status.json").exists()
        if kind == "sweep":
            arguments = ["-m", *SMALL, "seed=0,1", f"hydra.sweep.dir={place}", *rerun]
        else:
            arguments = [f"resume={place}"] if resume else [*SMALL, f"hydra.run.dir={place}"]
        code = command(arguments, log, rng.uniform(0.05, span) if kills < most else None)
        if code is not None and UNKNOWN not in log.read_text():
            break
        if code is not None:  # a sweep does not use a result whose settings are lost until it is told to
            rerun = ["on_change=rerun"]
            continue
        kills += 1
        for path in sorted(place.rglob("status.json")):
            if rng.random() < 0.4:
                path.write_bytes(rng.choice(DAMAGES))
                damaged += 1
    assert code == 0, f"exit status {code}: {log.read_text()[-600:]}"
    other = different(results(place), whole)
    assert not other, f"other results than without kills: {', '.join(other)}"
    assert not leftovers(place), f"left: {leftovers(place)}"
    return kills, damaged


def loop(kills: int, seed: int, most: int) -> int:
    """Run trials until that many kills were made. Return the number of trials that failed."""
    torch.set_num_threads(1)
    rng, done, failed, damaged, trials = random.Random(seed), 0, 0, 0, 0
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    whole, spans = {}, {}
    for kind, arguments in (
        ("run", [*SMALL, f"hydra.run.dir={base / 'run/r'}"]),
        ("sweep", ["-m", *SMALL, "seed=0,1", f"hydra.sweep.dir={base / 'sweep/s'}"]),
    ):
        started = time.monotonic()
        assert command(arguments, base / "whole.log") == 0, (base / "whole.log").read_text()
        spans[kind], whole[kind] = time.monotonic() - started, results(base / kind)
    if "run" in whole:  # the folder's name is no result
        whole["run"] = {("r", key): value for (_, key), value in whole["run"].items()}
    while done < kills and failed < 5:
        kind = ("run", "sweep")[trials % 2]
        place = base / f"{trials}" / ("r" if kind == "run" else "s")
        place.parent.mkdir()
        trials += 1
        try:
            count, broken = trial(kind, place, whole[kind], spans[kind], rng, most)
            done, damaged = done + count, damaged + broken
            print(f"trial {trials} ({kind}): {count} kills, {broken} damaged files: equal", flush=True)
        except AssertionError as error:
            failed += 1  # its kills do not count
            print(f"trial {trials} ({kind}): FAILED: {error}", flush=True)
    shutil.rmtree(base)
    print(f"{trials} trials, {done} kills, {damaged} damaged files, {failed} failed")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=4, help="kills of one run or sweep")
    given = parser.parse_args()
    sys.exit(1 if loop(given.kills, given.seed, given.most) else 0)
