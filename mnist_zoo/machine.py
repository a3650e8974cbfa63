"""What this process runs on: cores, processor, versions of the packages. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

from mnist_zoo import __version__


def cores() -> int:
    """Return how many cores this process may use: those of a container or a batch job, not of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Return what the system calls its processor."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    packages = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
    return {"mnist_zoo": __version__, "python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }
