"""Time until a command answers, time until the first optimizer step, and the packages imported until then."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.rounds import BenchmarkFailed, Record, Spread, pick, ratio, run_python, timed
from benchmarks.settings import Settings
from benchmarks.tables import cell, verdict
from mnist_zoo.plots.tables import markdown

TITLE = "Start"
GROUP = "start"
IMPORTS = "import torch, pytorch_lightning"
AS_COMMANDS = "the same imports, as commands make them (mnist_zoo.speed.imports)"
CODE = f"from mnist_zoo.speed.imports import without_collection\nwith without_collection('torch'): {IMPORTS}"
STEP = "python -m mnist_zoo data=mnist5k, to the first optimizer step"
STATUS = "python -m mnist_zoo.status SWEEP"
NOTHING = "python -c pass"
ANSWERS = {
    "python -m mnist_zoo --help": (["-m", "mnist_zoo", "--help"], 0),
    "python -m mnist_zoo lr=fast (a wrong value)": (["-m", "mnist_zoo", "lr=fast"], 1),
    "python -m mnist_zoo modle=cnn (a wrong name)": (["-m", "mnist_zoo", "modle=cnn"], 1),
}
SECONDS, GOAL = 1.5, 1.3


def measure(settings: Settings) -> list[Record]:
    sweep, scratch = settings.folder("sweep"), Path(settings.folder("start"))
    tiny = ["data=mnist5k", "data.train_fraction=0.05", "model=mlp", "epochs=1", "seed=0,1", "sweep=tiny"]
    python(settings, ["-m", "mnist_zoo", "-m", *tiny, "trainer=cpu", f"output_dir='{sweep}'"])
    step = ["-m", "mnist_zoo", "data=mnist5k", "trainer=cpu", "plugins=[benchmarks.first_step]"]
    calls = {name: partial(python, settings, *call) for name, call in ANSWERS.items()}
    calls[STATUS] = partial(python, settings, ["-m", "mnist_zoo.status", f"{sweep}/sweeps/tiny"])
    calls[NOTHING] = partial(python, settings, ["-c", "pass"])
    calls[IMPORTS] = partial(python, settings, ["-c", IMPORTS])
    calls[AS_COMMANDS] = partial(python, settings, ["-c", CODE])
    calls[STEP] = partial(python, settings, [*step, f"output_dir='{scratch}'"], modules=scratch / "step.json")
    timed(GROUP, {name: calls[name] for name in (IMPORTS, STEP)}, 1)  # loads the files into the system's cache
    records = timed(GROUP, calls, settings.rounds)
    return [*records, {"group": "imports", "contender": STEP, "round": 0, "packages": imported(settings, scratch)}]


def imported(settings: Settings, scratch: Path) -> dict[str, int]:
    """Return the packages that a run has imported at its first optimizer step and that Lightning does not import.

    Returns:
        The number of modules of each top-level package.
    """
    file = str(scratch / "bare.json")
    python(settings, ["-c", f"{IMPORTS}, json, sys; json.dump(list(sys.modules), open({file!r}, 'w'))"])
    before, after = (_packages(json.loads((scratch / f"{name}.json").read_text())) for name in ("bare", "step"))
    return {
        name: modules
        for name, modules in sorted(after.items())
        if name not in before and name not in sys.stdlib_module_names and name != "benchmarks"
    }


def _packages(modules: Iterable[str]) -> Counter[str]:
    return Counter(name.partition(".")[0] for name in modules)


def python(settings: Settings, arguments: list[str], status: int = 0, modules: Path | None = None) -> Record:
    """Run Python in a new process, as `run_python`; `modules` is where `benchmarks.first_step` writes its list."""
    environment = settings.environment | {"FIRST_STEP": str(modules)}
    used = run_python(arguments, environment, settings.folder("process"), status)
    if modules and not modules.exists():
        raise BenchmarkFailed(f"python {' '.join(arguments)} made no optimizer step that a torch hook observed")
    return used


def render(records: list[Record]) -> list[str]:
    names = dict.fromkeys(record["contender"] for record in records if record["group"] == GROUP)
    body = []
    for name in names:
        own = pick(records, GROUP, name).values()
        seconds, cpu = (Spread.of(record[key] for record in own) for key in ("seconds", "cpu_seconds"))
        over = ratio(records, GROUP, name, IMPORTS, lambda record: record["seconds"])
        answers = name in ANSWERS or name == STATUS
        goal = verdict(seconds, most=SECONDS) if answers else verdict(over, most=GOAL) if name == STEP else ""
        shown = name if name == AS_COMMANDS else f"`{name}`"
        body.append((shown, seconds, f"{cpu.median:.3g}", cell(over), goal))
    packages = pick(records, "imports", STEP)[0]["packages"]
    counts = ", ".join(f"{name} ({count})" for name, count in packages.items())
    return [
        "Wall seconds of a new process from start to end, with its files in the system's cache.",
        "",
        *markdown(("command", "seconds", "of processor time", "over the bare import", "goal"), body),
        "",
        "Top-level packages that a run has imported at its first optimizer step and that `import pytorch_lightning` "
        f"does not import (with the number of their modules): {counts}.",
    ]
