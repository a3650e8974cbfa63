"""The machine and the software of this process: cores, processor, package versions. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

from mnist_zoo import __version__

# The packages whose versions ``metrics.json`` records.
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")


def cores() -> int:
    """Return the number of cores that this process may use, which a container or a batch job can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Return the name of the processor, as the operating system reports it."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def commit(folder: Path = Path(__file__).parents[1]) -> str | None:
    """Return the git commit that is checked out in a folder, 40 hexadecimal digits; None for an installed package."""
    git = folder / ".git"
    try:
        if git.is_file():  # of a worktree: "gitdir: PATH"
            git = folder / git.read_text().partition(":")[2].strip()
        head = (git / "HEAD").read_text().strip()
        shared = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        name = head.removeprefix("ref: ")
        if name == head:
            found = head
        elif (shared / name).exists():
            found = (shared / name).read_text().strip()
        else:
            lines = (shared / "packed-refs").read_text().splitlines()
            found = next((line.partition(" ")[0] for line in lines if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError):
        return None
    return found if re.fullmatch("[0-9a-f]{40}", found) else None


def versions() -> dict[str, str]:
    """Return the versions of mnist_zoo, Python and the packages that can change a result, and the commit if known."""
    own = {"mnist_zoo": __version__, "python": platform.python_version()}
    if found := commit():
        own["commit"] = found
    return own | {package: importlib.metadata.version(package) for package in PACKAGES}
