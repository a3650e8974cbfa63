"""The settings of one call of the benchmark, and the description of the machine that goes with the results."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.machine import cores, processor_name, versions

ROOT = Path(__file__).parents[1]


class OfModel(Protocol):
    """A case of a part: what is measured for one network."""

    @property
    def model(self) -> str: ...


Case = TypeVar("Case", bound=OfModel)


@dataclass
class Settings:
    """One call of the benchmark.

    Attributes:
        data_root: folder that holds ``MNIST/raw``, as torchvision wants it.
        data: ``mnist``, or ``mnist5k`` repeated to its size.
        scratch: folder for run folders and generated data, removed at the end.
        quick: whether to do just enough to see that everything runs.
        rounds: how many rounds count, after the warm-up.
        threads: of each worker.
        keras_python: the interpreter that runs Keras.
        only: the networks to measure, in the parts that can select them; empty for all.
        device: what the part ``gpu`` measures: ``cuda``, or ``cpu`` for a trial of it.
        against: the other checkout of the library, for the part ``versions``.
    """

    data_root: Path
    data: str
    scratch: Path
    quick: bool = False
    rounds: int = 7
    threads: int = 1
    keras_python: str = sys.executable
    only: tuple[str, ...] = ()
    against: Path | None = None
    device: str = "cuda"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of every process that is measured."""
        threads = str(self.threads)
        found = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return os.environ | found | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

    def folder(self, name: str) -> str:
        """Return the path of a new folder in `scratch`; its name starts with a number and ends in `name`."""
        number = sum(1 for _ in self.scratch.iterdir())
        path = self.scratch / f"{number}-{name}"
        path.mkdir()
        return str(path)

    def select(self, cases: Sequence[Case], quick: slice = slice(None)) -> list[Case]:
        """Return the cases to measure: those of the networks in `only`, else all of them, or the slice `quick`.

        Raises:
            InputError: if there is no case of a network in `only`.
        """
        for model in self.only:
            if model not in {case.model for case in cases}:
                raise unknown("network of --only", model, {case.model for case in cases})
        if self.only:
            return [case for case in cases if case.model in self.only]
        return list(cases[quick] if self.quick else cases)


def machine(settings: Settings) -> dict[str, Any]:
    """Return what a reader must know of the machine and the software, as JSON values."""
    return {
        "processor": processor_name(),
        **_gpu(),
        "cores": cores(),
        "threads": settings.threads,
        "quick": settings.quick,
        "data": settings.data,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions() | _keras_versions(settings.keras_python),
    }


def _gpu() -> dict[str, Any]:
    """Return name, driver and CUDA version of the first GPU; nothing without one."""
    import torch  # here: an invalid argument need not wait for it

    if not torch.cuda.is_available():
        return {}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        driver = "unknown"
    return {"gpu": {"name": torch.cuda.get_device_name(0), "driver": driver, "cuda": torch.version.cuda}}


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
        raise InputError(f"--keras-python {python} is not a Python interpreter: {error}") from error
    return {name: version for name, version in map(str.split, found.splitlines())}
