"""Random command lines and damaged files: no traceback, no hang, no silent error."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fuzz.commands import call, call_as_process
from fuzz.judge import judge_line, protected
from fuzz.lines import Line, line, training
from fuzz.readers import damaged, judge_reader, reference
from fuzz.table import ACCEPTED, REFUSED
from fuzz.watch import OTHER_THREADS
from fuzz.world import copy_world

SEED = int(os.environ.get("FUZZ_SEED", "0"))
COUNT = int(os.environ.get("FUZZ_COUNT", "0"))  # of random lines, and of damaged files
LOG = os.environ.get("FUZZ_LOG")  # a file that collects the faults as they are found, one in each line
LINES, FILES, PROCESSES = 100, 600, 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("fuzz"),  # one process, so that the cases share its imports and its folder
    # Files that a failed command left open are closed later, within another case.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

Found = tuple[str, list[str]]  # what was tried, and its faults


def fixed_line(name: str, world: Path) -> Line:
    """Return a line of the table, such as ``refused-3``."""
    expected, _, number = name.partition("-")
    words = {"refused": REFUSED, "accepted": ACCEPTED}[expected][int(number)]
    return training(words.replace("@", str(world)).split(), expected)


FIXED = [f"refused-{number}" for number in range(len(REFUSED))]
FIXED += [f"accepted-{number}" for number in range(len(ACCEPTED))]


def try_line(one: Line, world: Path, run: Callable[..., Any] = call) -> Found:
    before = protected(world)
    return str(one), judge_line(one, run(one.door, one.words, world / "work"), world, before)


def try_file(number: int, world: Path, truth: dict[str, Any], run: Callable[..., Any] = call) -> Found:
    case, how = damaged(SEED, number, world)
    command, found = judge_reader(case, how, world, run, truth)
    return f"{how} {case.file}, then {command}", found


def check(result: Found) -> None:
    """Fail with what was tried and its faults."""
    what, found = result
    if found and LOG:
        with Path(LOG).open("a") as file:
            file.writelines(f"{fault}\t{what}\n" for fault in found)
    if found:
        pytest.fail("\n".join([what, *found]), pytrace=False)


@pytest.fixture(scope="session")
def truth(original: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the readers give for whole files."""
    return reference(lambda: copy_world(original, tmp_path_factory.mktemp("whole") / "world"))


@pytest.fixture(scope="session")
def processes(
    original: Path, truth: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Found]]]:
    """Start a choice of the cases as processes, one after the other, beside the cases in this process."""
    rng = random.Random(SEED)
    place = tmp_path_factory.mktemp("processes")

    def start_line(name: str) -> Found:
        world = copy_world(original, place / f"line-{name}")
        return try_line(fixed_line(name, world), world, call_as_process)

    def start_file(number: int) -> Found:
        return try_file(number, copy_world(original, place / f"file-{number}"), truth, call_as_process)

    with ThreadPoolExecutor(1, OTHER_THREADS) as pool:
        names, numbers = rng.sample(FIXED, PROCESSES), rng.sample(range(FILES), PROCESSES)
        yield {f"line-{i}": pool.submit(start_line, name) for i, name in enumerate(names)} | {
            f"file-{i}": pool.submit(start_file, number) for i, number in enumerate(numbers)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("number", range(COUNT or FILES), ids=lambda number: f"file-{SEED}-{number}")
def test_a_damaged_file(number: int, world: Path, truth: dict[str, Any], processes: object) -> None:
    check(try_file(number, world, truth))


@pytest.mark.parametrize("name", FIXED)
def test_a_setting_of_the_table(name: str, world: Path) -> None:
    check(try_line(fixed_line(name, world), world))


@pytest.mark.parametrize("number", range(COUNT or LINES), ids=lambda number: f"line-{SEED}-{number}")
def test_a_random_command_line(number: int, world: Path) -> None:
    check(try_line(line(SEED, number), world))


@pytest.mark.parametrize("name", [f"{kind}-{i}" for kind in ("line", "file") for i in range(PROCESSES)])
def test_a_process(name: str, processes: dict[str, Future[Found]]) -> None:
    check(processes[name].result())
