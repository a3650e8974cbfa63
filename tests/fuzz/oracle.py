"""What is wrong with what a command did: each fault is one line that starts with its class.

The classes: ``traceback``, ``hang``, ``status`` (another exit status than 0, 1, 2, 130), ``message`` (no line of error,
several, or noise), ``silent`` (accepted although invalid, or a result that is not true), ``refused`` (refused although
valid), ``escape`` (written outside), ``program`` (started one), ``lost`` (earlier results changed).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fuzz.commands import Outcome

STATUSES = (0, 1, 2, 130)
HARMLESS_PROGRAMS = ("uname", "file", "gcc", "lscpu", "ldconfig")  # that libraries ask about the machine
ACCURACIES = ("train_acc", "val_acc", "test_acc")
LOSSES = ("train_loss", "val_loss", "test_loss")


def faults(
    outcome: Outcome,
    *,
    several: bool = False,
    noise: bool = False,
    places: Iterable[Path] = (),
    downloads: Iterable[Path] = (),
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the faults that any command could have.

    Args:
        outcome: of the command.
        several: whether it may print several lines of error: one for each file, run or job.
        noise: whether anything may be on stderr beside the line of error (``--cfg``, ``hydra.verbose=true``).
        places: folders and files that it may write.
        downloads: folders of data, which it may create, and in which it may have temporary folders of downloads.
        before: the protected files before the command (see `watch.snapshot`).
        after: and after it.
    """
    found = []
    if outcome.hung:
        found.append(f"hang: {_last_own_line(outcome.hung)}")
    if outcome.raised:
        found.append(f"traceback: {_last_own_line(outcome.raised)}")
    elif "Traceback (most recent call last)" in outcome.stdout + outcome.stderr:
        found.append(f"traceback: printed: {_last_own_line(outcome.stdout + outcome.stderr)}")
    if not found:
        found += _message_faults(outcome, several, noise)
    if outcome.watch is not None:
        found += _watch_faults(outcome, [place.resolve() for place in places], [*downloads])
    if before is not None and after is not None:
        changed = sorted(key for key, state in before.items() if after.get(key) != state)
        found += [f"lost: {key} was changed" for key in changed[:3]]
    return found


def _message_faults(outcome: Outcome, several: bool, noise: bool) -> list[str]:
    """Return what is wrong with the exit status and the lines on stderr."""
    lines = [line for line in outcome.stderr.splitlines() if line.strip()]
    if outcome.status not in STATUSES:
        return [f"status: exit status {outcome.status}; stderr ends: {' '.join(lines[-2:])[:300]}"]
    if outcome.status == 2 and lines and re.match(r"\S+( -m \S+)?: error: ", lines[-1]):
        return _control_characters(outcome.stderr)  # the line of argparse, after its lines of usage
    errors = [line for line in lines if line.startswith("error: ")]
    other = [line for line in lines if not line.startswith(("error: ", "warning: ", "wrote ", "skipped: ", "to see "))]
    if outcome.status == 0:
        found = [f"message: exit status 0 with '{errors[0][:200]}'"] if errors else []
    elif not errors:
        found = [f"message: exit status {outcome.status} without a line of error: {' '.join(lines)[:300]}"]
    else:
        found = [f"message: {len(errors)} lines of error: {errors[1][:200]}"] if len(errors) > 1 and not several else []
    if other and not noise:
        found.append(f"message: noise on stderr: {other[0][:200]}")
    if any(len(line) > 2000 for line in errors):
        found.append(f"message: a line of {max(map(len, errors)):,} characters")
    return found + _control_characters(outcome.stderr)


def _control_characters(text: str) -> list[str]:
    hostile = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", text)
    return ["message: a control character on stderr"] if hostile else []


def _watch_faults(outcome: Outcome, places: list[Path], downloads: list[Path]) -> list[str]:
    """Return what was written outside of `places`, and the programs that were started."""
    assert outcome.watch is not None
    harmless = ("/dev/null", "/dev/tty", "/proc/self", "/dev/shm")
    outside = [
        path
        for path in sorted(outcome.watch.written)
        if not any(path.is_relative_to(place) or _is_temporary(path, place) for place in places)
        and not any(_is_download(path, folder.resolve()) for folder in downloads)
        and not str(path).startswith(harmless)
        and "__pycache__" not in path.parts
        and ".cache" not in path.parts
        and not any(part.startswith("torchinductor_") for part in path.parts)  # PyTorch's cache, in the system's folder
    ]
    programs = [name for name in outcome.watch.programs if not any(word in name for word in HARMLESS_PROGRAMS)]
    return [f"escape: wrote {path}" for path in outside[:3]] + [f"program: {name}" for name in programs[:3]]


def _is_temporary(path: Path, place: Path) -> bool:
    """Return whether a path is that of `mnist_zoo.files.write_atomically` for another one."""
    return path.parent == place.parent and path.name.startswith(f".{place.name}.")


def _is_download(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder of data, or within a temporary folder of downloads there."""
    return path == folder or (
        path.is_relative_to(folder) and path.relative_to(folder).parts[0].startswith(".download-")
    )


def run_faults(folder: Path) -> list[str]:
    """Return what is not true about a run that should be finished."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(), parse_constant=float)
        status = json.loads((folder / "status.json").read_text())
    except (OSError, ValueError) as error:
        return [f"silent: exit status 0, and {folder.name} is not finished ({error})"]
    found = [f"silent: {key}={metrics.get(key)}" for key in ACCURACIES if not is_accuracy(metrics.get(key))]
    found += [f"silent: {key}={metrics.get(key)}" for key in LOSSES if not is_finite(metrics.get(key))]
    if status.get("state") != "finished":
        found.append(f"silent: the state is {status.get('state')}")
    if not (folder / "predictions.npz").is_file():
        found.append("silent: there is no predictions.npz")
    if (folder / "traceback.txt").exists():
        found.append("silent: traceback.txt after success")
    return found


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_accuracy(value: object) -> bool:
    """Return whether a value can be an accuracy."""
    return is_finite(value) and 0 <= value <= 1  # type: ignore[operator]


def _last_own_line(text: str) -> str:
    """Return the error of a traceback, with the last place in the package."""
    lines = [line for line in text.splitlines() if line.strip()]
    own = [line.strip() for line in lines if re.search(r'File ".*/(mnist_zoo|hydra_plugins)/', line)]
    place = re.sub(r'File ".*/(mnist_zoo|hydra_plugins)/', r"\1/", own[-1]).replace('"', "") if own else "?"
    return f"{lines[-1][:200]} ({place})"
