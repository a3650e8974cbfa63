"""Damaged files: which file is damaged, which command reads it then, and what it may do with it."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.commands import Outcome, call
from fuzz.damage import damage
from fuzz.oracle import faults, is_accuracy, run_faults
from fuzz.watch import snapshot
from fuzz.world import RUN, SWEEP, jobs

Call = Callable[[str, Sequence[str], Path], Outcome]
FINISHED, STOPPED = "outputs/runs/finished", "outputs/runs/interrupted"
PICTURE = "images/0.png"
RESULTS = ("metrics.json", "predictions.npz")
FORGED = ("change_zip", "change_tensors", "change_safetensors", "change_picture")
RUN_FILES = {"metrics.json": "json", "status.json": "json", "curves.csv": "lines", "predictions.npz": "npz",
             ".hydra/config.yaml": "lines", ".hydra/overrides.yaml": "lines", "job.json": "json",
             "checkpoints/best.ckpt": "ckpt"}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A damaged file and the command that reads it.

    Attributes:
        file: relative to the world's ``work``; ``JOB`` is the folder of the sweep's first job.
        kind: of the file, a key of `damage.KINDS`.
        reader: a key of `READERS`.
    """

    file: str
    kind: str
    reader: str


READERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "status": ("status", ("outputs",)),
    "status of the sweep": ("status", ("outputs/sweeps/pair",)),
    "report": ("report", ("outputs/sweeps/pair",)),
    "report of the search": ("report", ("outputs/searches/tiny",)),
    "sweep": ("mnist_zoo", tuple(SWEEP)),
    "search": ("search", ("search=regularisation", "study=tiny", "trials=2", "output_dir=outputs")),
    "resume": ("mnist_zoo", (f"resume={STOPPED}",)),
    "continue": ("mnist_zoo", (f"resume={FINISHED}", "epochs=3")),
    "predict run": ("predict", (FINISHED, PICTURE)),
    "predict checkpoint": ("predict", ("net.ckpt", PICTURE)),
    "predict weights": ("predict", ("net.safetensors", PICTURE)),
    "predict images": ("predict", ("mlp", PICTURE, "images/1.png")),
    "export run": ("export", (FINISHED, "--format", "safetensors", "-o", "out.safetensors")),
    "export checkpoint": ("export", ("net.ckpt", "--format", "safetensors", "-o", "out.safetensors")),
    "train on idx": ("mnist_zoo", (*RUN, "data=mnist", "data.root=idx", "data.fallback=null",
    "hydra.run.dir=outputs/runs/new")),
    "train on gz": ("mnist_zoo", (*RUN, "data=mnist", "data.root=idxgz", "data.fallback=null",
    "hydra.run.dir=outputs/runs/new")),
    "train on csv": ("mnist_zoo", (*RUN, "data=csv", "data.train_csv=kaggle.csv", "hydra.run.dir=outputs/runs/new")),
}  # fmt: skip
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_EACH: tuple[Case, ...] = (
    *(Case(f"JOB/{file}", kind, reader) for file, kind in RUN_FILES.items()
      for reader in ("status of the sweep", "sweep") if file != "checkpoints/best.ckpt"),
    *(Case(f"JOB/{file}", kind, "report") for file, kind in RUN_FILES.items() if file != "job.json"),
    *(Case(f"{FINISHED}/{file}", RUN_FILES[file], "continue") for file in RUN_FILES if file != "job.json"),
    *(Case(f"{STOPPED}/{file}", kind, "resume") for file, kind in RUN_FILES.items() if file not in (*RESULTS,
    "job.json")),
    Case(f"{STOPPED}/checkpoints/last.ckpt", "ckpt", "resume"), Case(f"{STOPPED}/checkpoints/last.ckpt", "ckpt",
    "resume"),
    Case(f"{STOPPED}/checkpoints/previous.ckpt", "ckpt", "resume"),
    Case("outputs/sweeps/pair/sweep.json", "json", "status"), Case("outputs/sweeps/pair/sweep.json", "json", "sweep"),
    Case("outputs/sweeps/pair/sweep.json", "json", "report"),
    Case("outputs/searches/tiny/study.db", "db", "report of the search"), Case("outputs/searches/tiny/study.db",
    "db", "search"),
    Case("outputs/searches/tiny/trials.csv", "lines", "report of the search"),
    Case("outputs/searches/tiny/trials/0/metrics.json", "json", "report of the search"),
    *(Case(f"{FINISHED}/checkpoints/best.ckpt", "ckpt", reader) for reader in ("predict run", "export run")),
    *(Case("net.ckpt", "ckpt", reader) for reader in ("predict checkpoint", "export checkpoint")),
    Case("net.safetensors", "safetensors", "predict weights"), Case("net.safetensors", "safetensors",
    "predict weights"),
    Case(PICTURE, "png", "predict images"), Case(PICTURE, "png", "predict images"),
    *(Case(f"idx/MNIST/raw/{name}", "idx", "train on idx") for name in IDX),
    *(Case(f"idxgz/MNIST/raw/{name}.gz", "gz", "train on gz") for name in IDX),
    Case("kaggle.csv", "lines", "train on csv"), Case("kaggle.csv", "lines", "train on csv"),
)  # fmt: skip
CHEAP = ("status", "status of the sweep", *(reader for reader in READERS if reader.startswith(("predict", "export"))))
# A training or a report takes a hundred times as long as these: to try all 600 files in minutes, they are tried more.
CASES: tuple[Case, ...] = (*_EACH, *[case for case in _EACH if case.reader in CHEAP] * 3)


def reference(copy: Callable[[], Path]) -> dict[str, Any]:
    """Return what the readers of weights and checkpoints give for whole files."""
    found: dict[str, Any] = {}
    for reader, (door, words) in READERS.items():
        if reader in ("resume", "continue", "train on gz") or reader.startswith(("predict", "export")):
            work = copy() / "work"
            outcome = call(door, words, work, limit=60)
            assert outcome.status == 0, f"{reader}: {outcome.stderr}{outcome.raised}{outcome.hung}"
            found[reader] = _result(reader, outcome, work)
    return found


def damaged(seed: int, number: int, world: Path) -> tuple[Case, str]:
    """Damage one file of a world; return the case and how it was damaged."""
    rng = random.Random(f"file {seed} {number}")
    case = CASES[number % len(CASES)]
    return case, damage(rng, case.kind, world / "work" / _file(case, world / "work"))


def judge_reader(case: Case, how: str, world: Path, run: Call, truth: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Run the reader of a damaged file; return its command line and the faults."""
    work = world / "work"
    door, words = READERS[case.reader]
    path = work / _file(case, work)
    before, invalid, siblings = _others(world, path), _is_invalid(path), jobs(work)
    outcome = run(door, words, work)
    places = [work / name for name in ("outputs", ".tmp", "out.safetensors")]
    several = door in ("status", "report", "predict") or "-m" in words
    found = faults(
        outcome,
        several=several,
        noise="-m" in words,
        places=places,
        before=before,
        after=_others(world, path),
        downloads=[work / name for name in ("data", "idx", "idxgz")],
    )
    if outcome.status is None or found:
        return f"{door} {' '.join(words)}", found
    forged = how in FORGED or case.kind == "lines"  # a change that no check sum can show
    judged = outcome.status == 0 and not forged and case.reader in truth
    if judged and _result(case.reader, outcome, work) != truth[case.reader]:
        found.append("silent: exit status 0 with another result than that of the whole file")
    if "JOB" in case.file and door in ("status", "report"):
        found += _one_of_several(case, outcome, work, invalid, siblings)
    if case.reader == "sweep" and outcome.status == 0:
        found += [fault for job in siblings for fault in run_faults(work / job)]
    if case.reader.startswith("train on") and outcome.status == 0:
        found += run_faults(work / "outputs/runs/new")
    if door == "predict" and outcome.status == 0 and "nan" in outcome.stdout:
        found.append("silent: predicted nan")
    wrong_word = path.is_dir()  # a folder without images, which is refused before anything is predicted
    if case.reader == "predict images" and not wrong_word and "images/1.png" not in outcome.stdout:
        found.append("lost: the whole image was not predicted")
    return f"{door} {' '.join(words)}", found


def _one_of_several(case: Case, outcome: Outcome, work: Path, invalid: bool, siblings: list[str]) -> list[str]:
    """Return what is wrong with the table of a sweep of which one job has a damaged file."""
    name, text = Path(siblings[0]).name, outcome.stdout + outcome.stderr
    found = []
    if case.reader.startswith("status") and any(Path(job).name not in outcome.stdout for job in siblings[1:]):
        found.append("lost: a whole run is not shown")
    if case.reader == "report" and not (work / "outputs/sweeps/pair/report/report.md").is_file():
        found.append("lost: no report of the whole runs")
    if invalid and outcome.status == 0:
        found.append(f"silent: exit status 0 with an invalid {Path(case.file).name}")
    if invalid and outcome.status == 1 and name not in text:
        found.append("message: the damaged run is not named")
    return found


def _is_invalid(path: Path) -> bool:
    """Return whether the metrics of a run certainly cannot be, or are no record at all."""
    if path.name != "metrics.json" or not os.path.lexists(path):
        return False  # a run without metrics is not finished
    try:
        record = json.loads(path.read_bytes()) if path.is_file() and not path.is_symlink() else None
    except (ValueError, RecursionError):
        return True
    if not isinstance(record, dict):
        return True
    return not all(is_accuracy(record.get(key)) for key in ("val_acc", "test_acc", "train_acc"))


def _file(case: Case, work: Path) -> str:
    return case.file.replace("JOB", jobs(work)[0]) if "JOB" in case.file else case.file


def _others(world: Path, path: Path) -> dict[str, tuple[int, ...]]:
    """Return the state of the results that the damage did not touch."""
    run = path.parent.parent if path.parent.name in ("checkpoints", ".hydra") else path.parent
    return {
        str(file.relative_to(world)): value
        for folder in [
            *(world / "work" / "outputs").glob("runs/*"),
            *(world / "work" / "outputs").glob("sweeps/*/*"),
            world / "beside",
        ]
        if folder != run and folder.name != "report"
        for key, value in snapshot(folder).items()
        if (file := folder / key).name in (*RESULTS, "precious.txt")
    }


def _result(reader: str, outcome: Outcome, work: Path) -> Any:
    """Return what must be equal for equal inputs: predictions, or the metrics of a run."""
    if reader in ("resume", "continue", "train on gz"):
        folder = work / {"resume": STOPPED, "continue": FINISHED, "train on gz": "outputs/runs/new"}[reader]
        try:
            metrics = json.loads((folder / "metrics.json").read_text())
        except (OSError, ValueError) as error:
            return str(error)
        return {
            key: value
            for key, value in metrics.items()
            if re.match("(train|val|test)_(acc|loss)$|best_epoch|epochs", key)
        }
    if reader.startswith("export"):
        path = work / "out.safetensors"
        if not path.is_file():
            return None
        content = path.read_bytes()
        size = 8 + int.from_bytes(content[:8], "little")
        return json.loads(content[8:size]), content[size:]  # safetensors orders the names of its header at random
    return outcome.stdout
