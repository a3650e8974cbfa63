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


def versions() -> dict[str, str]:
    """Return the versions of mnist_zoo, Python and the packages that can change a result."""
    own = {"mnist_zoo": __version__, "python": platform.python_version()}
    return own | {package: importlib.metadata.version(package) for package in PACKAGES}
