"""What the part ``gpu`` needs on a machine without a network: ``python -m benchmarks.gpu_carry pack|unpack DIR``.

``pack`` writes wheels of the packages that a machine with PyTorch and Lightning lacks, in the versions installed here,
and MNIST's files, compressed, to DIR. ``unpack``, on the other machine, installs the wheels to DIR/site and writes
MNIST to DIR/data, without a network and without changing its environment:

    python -m benchmarks.gpu_carry pack outputs/gpu_carry
    python -m benchmarks.gpu_carry unpack outputs/gpu_carry
    PYTHONPATH=outputs/gpu_carry/site python -m benchmarks gpu --data-root outputs/gpu_carry/data --out RESULTS
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import FILES
from mnist_zoo.errors import InputError, ZooError

# antlr4-python3-runtime 4.9, which omegaconf needs, exists as source only: `pip wheel` builds it.
PACKAGES = ("hydra-core", "omegaconf", "antlr4-python3-runtime", "mlxtend")


def pack(folder: Path, data: Path, packages: Sequence[str] = PACKAGES) -> None:
    """Write wheels and compressed data to `folder`.

    Args:
        folder: is made if it does not exist.
        data: folder with ``MNIST/raw``, the files unpacked.
        packages: names of installed packages.

    Raises:
        InputError: if MNIST is not there, or a wheel cannot be made.
    """
    raw = data / "MNIST" / "raw"
    absent = [name for name in FILES if not (raw / name).is_file()]
    if absent:
        raise InputError(
            f"{raw} has no file {absent[0]}: name the folder of MNIST's unpacked files with --data-root DIR"
        )
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in packages]
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder / "wheels"), *wanted)
    for name in FILES:
        with (raw / name).open("rb") as source, gzip.open(folder / f"{name}.gz", "wb") as target:
            shutil.copyfileobj(source, target)


def unpack(folder: Path) -> None:
    """Install the wheels of `folder` to ``folder/site``, and write MNIST to ``folder/data``.

    Raises:
        InputError: if `folder` was not written by `pack`.
    """
    wheels, raw = sorted((folder / "wheels").glob("*.whl")), folder / "data" / "MNIST" / "raw"
    if not wheels or not all((folder / f"{name}.gz").is_file() for name in FILES):
        raise InputError(f"{folder} has no wheels, or not all files of MNIST: make it with benchmarks.gpu_carry pack")
    _pip("install", "--no-index", "--no-deps", "--upgrade", "--target", str(folder / "site"), *map(str, wheels))
    raw.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        with gzip.open(folder / f"{name}.gz", "rb") as source, (raw / name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"pip {arguments[0]} fails: {last}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: known errors print one line and exit with status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_carry", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="folder that holds MNIST/raw, for pack")
    options = parser.parse_args(arguments)
    try:
        if options.action == "pack":
            options.folder.mkdir(parents=True, exist_ok=True)
            pack(options.folder, options.data_root)
        else:
            unpack(options.folder)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
