"""The measured records as JSON, and the page and plots that are written from these records only."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.parts import PARTS
from benchmarks.rounds import Record
from benchmarks.settings import Settings, machine
from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.style import style

RAW, PAGE = "results.json", "results.md"
_PLACES = ("--data-root", "--keras-python", "--out", "--against")


def measure(name: str, settings: Settings, out: Path) -> None:
    """Measure a part, and write its records, with a description of the machine, to ``<out>/results.json``.

    The records of a part that yields them one by one are written one by one, so that a measurement that is interrupted
    keeps what it has. With ``--only`` those that it measured before stay.
    """
    started = time.perf_counter()
    about = machine(settings) | {"command": shlex.join(["python", "-m", "benchmarks", *_public(sys.argv[1:])])}
    found = load(name).measure(settings)
    out.mkdir(parents=True, exist_ok=True)
    everything = _recorded(out) or {}
    one_by_one = isinstance(found, Iterator)
    before = everything.get(name, {}).get("records", []) if one_by_one and settings.only else []
    records: list[Record] = []
    for record in found:
        records.append(record)
        if one_by_one:
            _write(out, name, everything, about, started, _merged(before, records))
    _write(out, name, everything, about, started, _merged(before, records))


def _write(
    out: Path,
    name: str,
    everything: dict[str, Any],
    about: dict[str, Any],
    started: float,
    records: list[Record],
) -> None:
    minutes = round((time.perf_counter() - started) / 60, 1)
    everything[name] = about | {"minutes": minutes, "records": records}
    write_atomically(out / RAW, to_json({key: everything[key] for key in PARTS if key in everything}))


def _merged(before: list[Record], records: list[Record]) -> list[Record]:
    """Return the records of before in groups that were not measured again, and the new ones."""
    groups = {record["group"] for record in records}
    return [record for record in before if record["group"] not in groups] + records


def write(out: Path) -> list[Path]:
    """Write ``results.md`` and the plots from ``results.json``, and return their paths.

    Raises:
        InputError: if there is no ``results.json`` in `out`.
    """
    everything = _recorded(out)
    if everything is None:
        raise InputError(f"{out} has no {RAW}: measure a part first, or name another folder with --out DIR")
    write_atomically(out / PAGE, render(everything))
    written = [out / PAGE]
    for name, result in everything.items():
        part = load(name)
        if hasattr(part, "draw") and drawable(result):
            with style():
                part.draw(result["records"]).savefig(out / f"{name}.png")
            written.append(out / f"{name}.png")
    return written


def _recorded(out: Path) -> dict[str, Any] | None:
    """Return what ``results.json`` holds, or None if there is no such file."""
    path = out / RAW
    return json.loads(path.read_text()) if path.exists() else None


def render(everything: dict[str, Any]) -> str:
    """Return the text of ``results.md`` from what ``results.json`` holds."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks` from `results.json`, which holds every round. All numbers of a part "
        "are from one run on one machine. Contenders take turns, one at a time. The results are ratios within a round, "
        "given as median [least, greatest] over the rounds. Images per second only tell how fast that machine was on "
        "that day.",
        "",
    ]
    for name, result in everything.items():
        part = load(name)
        lines += [f"## {part.TITLE}", "", *_about(result), "", *part.render(result["records"]), ""]
        if hasattr(part, "draw") and drawable(result):
            lines += [f"![{part.TITLE}]({name}.png)", ""]
    absent = [name for name in PARTS if name not in everything]
    if absent:
        lines += [f"Not measured yet: {', '.join(absent)}.", ""]
    return "\n".join(lines)


def drawable(result: dict[str, Any]) -> bool:
    """Return whether there is anything to draw: False if a part could not be measured."""
    return any("missing" not in record for record in result["records"])


def load(name: str) -> ModuleType:
    """Return a part's module."""
    return importlib.import_module(f"benchmarks.parts.{name}")


def _about(result: dict[str, Any]) -> list[str]:
    lines = ["**Quick: a trial of the benchmark; its numbers mean nothing.**", ""] if result["quick"] else []
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    rounds = 1 + max(record.get("round", 0) for record in result["records"])
    facts = [
        result["processor"],
        f"{result['cores']} core{'' if result['cores'] == 1 else 's'}",
        f"threads per worker: {result['threads']}",
        "load unknown" if result["load"] is None else f"load at the start: {result['load']:g}",
        f"rounds: {rounds}",
        *_gpu(result),
        "MNIST" if result["data"] == "mnist" else "mnist5k, repeated to the size of MNIST",
    ]
    took = f"`{result['command']}` on {result['date']}, {result['minutes']:g} minutes"
    return [*lines, f"{took}. {', '.join(facts)}. {versions}."]


def _gpu(result: dict[str, Any]) -> list[str]:
    found = result.get("gpu")
    return [f"{found['name']}, driver {found['driver']}, CUDA {found['cuda']}"] if found else []


def _public(arguments: list[str]) -> list[str]:
    """Return the arguments without those that are paths of this machine."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith(tuple(f"{option}=" for option in _PLACES)) and argument not in _PLACES:
            kept.append(argument)
        skip = argument in _PLACES
    return kept


def to_json(everything: dict[str, Any]) -> str:
    """Return JSON with one record on each line, which git can compare."""
    parts = []
    for name, result in everything.items():
        records = ",\n      ".join(json.dumps(record) for record in result["records"])
        about = json.dumps({key: value for key, value in result.items() if key != "records"}, indent=2)
        body = about.rstrip("}\n ").replace("\n", "\n  ")
        parts.append(f'  {json.dumps(name)}: {body},\n    "records": [\n      {records}\n    ]\n  }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
