"""What a benchmark is run with, and what must be said of the machine it ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mnist_zoo import __version__
from mnist_zoo.errors import InputError
from mnist_zoo.machine import cores

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")


@dataclass
class Settings:
    """One call of the benchmark.

    Attributes:
        data_root: folder that holds ``MNIST/raw``, as torchvision wants it.
        data: ``mnist``, or ``mnist5k`` repeated to its size.
        scratch: folder for run folders and made-up data, removed at the end.
        quick: whether to do just enough to see that all works.
        rounds: how many count, after the warm-up.
        threads: of each worker.
        keras_python: the interpreter that runs Keras.
    """

    data_root: Path
    data: str
    scratch: Path
    quick: bool = False
    rounds: int = 7
    threads: int = 1
    keras_python: str = sys.executable

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process that is measured."""
        threads = str(self.threads)
        found = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return os.environ | found | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

    def folder(self, name: str) -> str:
        """Return a folder in `scratch`: a new one each time."""
        number = sum(1 for _ in self.scratch.iterdir())
        path = self.scratch / f"{number}-{name}"
        path.mkdir()
        return str(path)


def machine(settings: Settings) -> dict:
    """Return what a reader must know of the machine and the software."""
    from mnist_zoo.machine import processor_name

    return {
        "processor": processor_name(),
        "cores": cores(),
        "threads": settings.threads,
        "quick": settings.quick,
        "data": settings.data,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"mnist_zoo": __version__, "python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES}
        | _keras_versions(settings.keras_python),
    }


def _keras_versions(python: str) -> dict[str, str]:
    code = (
        "import importlib.metadata as m\n"
        "for name in ('keras', 'tensorflow', 'tensorflow-cpu'):\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass"
    )
    try:
        found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"--keras-python {python} is no Python interpreter: {error}") from error
    return dict(line.split() for line in found.splitlines())
