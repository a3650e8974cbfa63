"""Training throughput of this checkout of the library beside another one, in the same rounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.rounds import Contender, Record, Spread, cpu_speed, interleave, pick, ratio, speed
from benchmarks.settings import ROOT, Settings
from benchmarks.tables import cell
from mnist_zoo.errors import InputError
from mnist_zoo.plots.tables import markdown

TITLE = "This version beside another one"
THIS, OTHER = "this checkout", "the other checkout"
CHECKOUTS = "checkouts"  # the group of the record that says what was compared
VALIDATION = 512  # images: few, because validation is not compared


class Case(NamedTuple):
    """A network, its batch size, and the share of the 59,488 training images that makes a turn of 1 to 3 seconds."""

    model: str
    batch_size: int
    fraction: float


CASES = (
    Case("mlp", 64, 1.0),
    Case("mlp_128_128", 64, 1.0),
    Case("lenet5", 64, 0.25),
    Case("cnn", 64, 0.15),
    Case("cnn", 128, 0.15),
    Case("cnn", 512, 0.2),
    Case("cnn_dropout", 64, 0.15),
    Case("cnn_batchnorm", 64, 0.1),
    Case("cnn_strided", 128, 0.4),
    Case("deep_cnn", 64, 0.006),
    Case("two_conv", 512, 0.05),
    Case("double_conv", 128, 0.02),
    Case("simple_m3", 64, 0.005),
    Case("resnet18", 64, 0.01),
    Case("googlenet", 64, 0.01),
)
QUICK = slice(0, 1)


def measure(settings: Settings) -> list[Record]:
    if settings.against is None:
        raise InputError("versions compares two checkouts of the library: Settings.against is the other one")
    checkouts = {THIS: ROOT, OTHER: settings.against}
    described = {name: describe(checkout) for name, checkout in checkouts.items()}
    records: list[Record] = [
        {"group": CHECKOUTS, "contender": name, "version": text} for name, text in described.items()
    ]
    for case in settings.select(CASES, QUICK):
        contenders = [contender(name, case, checkout, settings) for name, checkout in checkouts.items()]
        records += interleave(f"{case.model}, batch {case.batch_size}", contenders, settings)
    return records


def contender(name: str, case: Case, checkout: Path, settings: Settings) -> Contender:
    """Return the command of a checkout as a contender."""
    overrides = [
        f"model={case.model}",
        f"batch_size={case.batch_size}",
        f"data.root='{settings.data_root}'",
        "data.fallback=null",
        f"data.val_size={VALIDATION}",
        f"data.train_fraction={0.02 if settings.quick else case.fraction}",
        "trainer=cpu",
    ]
    options = {"checkout": str(checkout), "overrides": overrides, "folder": settings.folder("run")}
    return Contender(name, "benchmarks.contenders.checkout", options, checkout=checkout)


def describe(checkout: Path) -> str:
    """Return a checkout's version, and its commit if git knows it."""
    code = [sys.executable, "-c", "import mnist_zoo; print(mnist_zoo.__version__)"]
    version = subprocess.run(code, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
    git = ["git", "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(git, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version}, commit {commit}"


def render(records: list[Record]) -> list[str]:
    versions = {record["contender"]: record["version"] for record in records if record["group"] == CHECKOUTS}
    lines = [
        f"Images per second of training with this checkout ({versions[THIS]}), and their ratio over those of another "
        f"checkout ({versions[OTHER]}). Both run the same configuration, with logging and checkpoints.",
        "",
    ]
    body: list[tuple[object, ...]] = []
    for group in dict.fromkeys(record["group"] for record in records if record["group"] != CHECKOUTS):
        own = f"{Spread.of(map(speed, pick(records, group, THIS).values())).median:,.0f}"
        ratios = ratio(records, group, THIS, OTHER), ratio(records, group, THIS, OTHER, cpu_speed)
        body.append((group, own, *map(cell, ratios)))
    return lines + markdown(("network", "images/s", "this over the other", "by processor time"), body)
