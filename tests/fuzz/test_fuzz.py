"""Random command lines and damaged files: no traceback, no hang, no silent error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fuzz.commands import call
from fuzz.judge import judge_line, protected
from fuzz.lines import line, training
from fuzz.readers import damaged, judge_reader, reference
from fuzz.table import ACCEPTED, REFUSED
from fuzz.world import copy_world

SEED = int(os.environ.get("FUZZ_SEED", "0"))
COUNT = int(os.environ.get("FUZZ_COUNT", "0"))
LOG = os.environ.get("FUZZ_LOG")  # a file that collects the faults as they are found, one in each line
LINES, FILES = 300, 600

pytestmark = pytest.mark.slow


def check(what: object, found: list[str]) -> None:
    """Fail with the faults of a case and the command that shows them."""
    if found and LOG:
        with Path(LOG).open("a") as file:
            file.writelines(f"{fault}\t{what}\n" for fault in found)
    if found:
        pytest.fail("\n".join([str(what), *found]), pytrace=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(words, "refused") for words in REFUSED] + [(words, "accepted") for words in ACCEPTED],
    ids=[f"refused-{number}" for number in range(len(REFUSED))]
    + [f"accepted-{number}" for number in range(len(ACCEPTED))],
)
def test_a_setting_of_the_table(words: str, expected: str, world: Path) -> None:
    one = training(words.replace("@", str(world)).split(), expected)
    check(one, judge_line(one, call(one.door, one.words, world / "work"), world, protected(world)))


@pytest.mark.parametrize("number", range(COUNT or LINES), ids=lambda number: f"line-{SEED}-{number}")
def test_a_random_command_line(number: int, world: Path) -> None:
    one = line(SEED, number)
    check(one, judge_line(one, call(one.door, one.words, world / "work"), world, protected(world)))


@pytest.fixture(scope="session")
def truth(original: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the readers give for whole files."""
    return reference(lambda: copy_world(original, tmp_path_factory.mktemp("whole") / "world"))


@pytest.mark.parametrize("number", range(COUNT or FILES), ids=lambda number: f"file-{SEED}-{number}")
def test_a_damaged_file(number: int, world: Path, truth: dict[str, Any]) -> None:
    case, how = damaged(SEED, number, world)
    command, found = judge_reader(case, world, call, truth)
    check(f"{how} {case.file}, then {command}", found)
