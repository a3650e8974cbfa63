"""Judging a command line: what it may write, what it must refuse, and whether an accepted one did what it says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from fuzz.commands import Outcome
from fuzz.lines import Line
from fuzz.oracle import faults, run_faults
from fuzz.table import BASE
from fuzz.watch import snapshot

SHOWS = ("--help", "-h", "--cfg", "-c", "--info", "-i", "--version", "--hydra-help", "-sc", "--shell-completion")
WRITES = ("--csv", "--json", "--show", "--out", "-o", "--output")


def shows(line: Line) -> bool:
    """Return whether a line only asks to print something."""
    return any(word.partition("=")[0] in SHOWS for word in line.words)


def places(line: Line, work: Path) -> list[Path]:
    """Return where a line may write."""
    found = [work / "outputs", work / ".tmp"]
    for word, following in pairwise([*line.words, ""]):
        if word in WRITES and following:
            found.append(work / following)
        key, _, value = word.lstrip("+").partition("=")
        if key == "output_dir" and value.strip("'\" ") not in ("", "null", "[]", "{}"):
            found.append(work / value.strip("'\""))
        if key.startswith("hydra") or (key == "resume" and value):
            found.append(work)
    if line.door == "export" and "-o" not in line.words:
        found.append(work)
    if line.door == "report" and "--out" not in line.words and line.words:
        found.append(work / line.words[0] / "report")
    return found


def downloads(line: Line, work: Path) -> list[Path]:
    """Return the folders of data into which a line may download."""
    named = [word.partition("=")[2].strip("'\"") for word in line.words if word.startswith("data.root=")]
    return [work / name for name in ("data", *named)]


def protected(world: Path) -> dict[str, tuple[int, ...]]:
    """Return the state of everything that commands must leave as it is: what is beside, and finished results."""
    found = {f"beside/{key}": value for key, value in snapshot(world / "beside").items()}
    found |= {f"world/{path.name}": () for path in world.iterdir()}
    runs = world / "work" / "outputs" / "runs" / "finished"
    return found | {f"finished/{key}": value for key, value in snapshot(runs).items()
                    if key.endswith(("metrics.json", "predictions.npz", "best.ckpt", "curves.csv"))}  # fmt: skip


def judge_line(
    line: Line, outcome: Outcome, world: Path, before: dict[str, tuple[int, ...]] | None = None
) -> list[str]:
    """Return the faults of a command line that ran in a copy of the world."""
    work = world / "work"
    several = line.door in ("predict", "status", "report") or "-m" in line.words
    noise = shows(line) or any(word.lstrip("+").startswith("hydra") for word in line.words)
    found = faults(outcome, several=several, noise=noise, places=places(line, work), downloads=downloads(line, work),
                   before=before, after=None if before is None else protected(world))  # fmt: skip
    if before is not None:  # a process of its own has no watch: look for new files beside its folder
        new = [key for key in protected(world).keys() - before.keys() if not key.startswith("finished/")]
        found += [f"escape: wrote {key}" for key in sorted(new)]
    if any(word.lstrip("+").startswith("debug") for word in line.words):  # debug=true shows tracebacks
        found = [fault for fault in found if not fault.startswith("traceback")]
    if outcome.status == 0 and line.expected == "refused":
        found.append("silent: accepted although invalid")
    if outcome.status not in (0, None) and line.expected == "accepted":
        found.append(f"refused: although valid: {outcome.stderr.strip()[-300:]}")
    if outcome.status == 0 and line.door == "mnist_zoo" and not shows(line) and not found:
        found += _results(line, work)
    return found


def _results(line: Line, work: Path) -> list[str]:
    """Return what is not true about the runs that an accepted line made."""
    old = {"finished", "interrupted"}
    if any(
        word.startswith(("resume", "output_dir", "hydra", "+hydra", "++hydra", "~hydra")) and word not in BASE
        for word in line.words
    ):
        return []
    runs = [path for path in (work / "outputs" / "runs").glob("*") if path.name not in old]
    if "-m" in line.words:
        runs = [path.parent for path in (work / "outputs" / "sweeps").glob("*/*/status.json")]
    if not runs:
        return ["silent: exit status 0, and there is no run folder"]
    return [fault for run in runs for fault in run_faults(run)]
