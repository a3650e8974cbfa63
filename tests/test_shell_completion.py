"""Completion in bash, as docs/shell.md describes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
eval "$(mnist-zoo --shell-completion install=bash)"
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
hydra_bash_completion
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash completes")
@pytest.mark.parametrize(
    ("typed", "completed"),
    re.findall(r"^\| `(mnist-zoo [^`]*)` \| (.*) \|$", (ROOT / "docs/shell.md").read_text(), re.M),
)
def test_bash_completes_as_the_page_says(tmp_path, typed, completed):
    program = tmp_path / "mnist-zoo"
    program.write_text(f"#!{sys.executable}\nfrom mnist_zoo.__main__ import main\n\nmain()\n")
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    line = ["bash", "-c", SCRIPT, "bash", typed]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=True)
    found, expected = done.stdout.split(), re.findall(r"`([^`]+)`", completed)
    assert set(expected) <= set(found) and ("..." in completed or len(found) == len(expected))
