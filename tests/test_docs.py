"""Documentation: the API reference builds, examples in docstrings run, and pages name only what exists."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mnist_zoo
from mnist_zoo.data import sources
from mnist_zoo.models import registry

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in mnist_zoo.__all__ if name != "__version__"]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "mnist_zoo").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the data sets that other tests registered; what an example registers is removed after the test."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    ours = {name: source for name, source in sources._SOURCES.items() if source.__module__.startswith("mnist_zoo")}
    monkeypatch.setattr(sources, "_SOURCES", ours)


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Return the examples in a module's docstrings."""
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_run_as_shown(module, own_registries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)
    found = examples(importlib.import_module(module))
    assert found, "doctest does not find the examples of this module"
    for test in found:
        lines: list[str] = []
        failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=lines.append).failed
        assert not failed, "".join(lines)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(mnist_zoo, name).__doc__


def test_the_reference_builds_without_warnings_and_has_every_public_name(tmp_path):
    pytest.importorskip("pdoc")
    line = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path / "api")]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "api" / "mnist_zoo.html").read_text()
    for name in PUBLIC:
        assert f'<section id="{name}">' in page
    assert 'id="LitClassifier.forward"' in page
    assert 'id="LitClassifier.training_step"' not in page, "Lightning documents its hooks"
    for name in ("data", "training/run", "speed"):
        assert (tmp_path / "api" / "mnist_zoo" / f"{name}.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_in_the_pages_exist(page):
    text = (ROOT / page).read_text()
    links = [(ROOT / page).parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    paths = [ROOT / path for path in re.findall(r"`((?:mnist_zoo|tests|conf|results|benchmarks|docs)/[\w./-]+)`", text)]
    assert [str(path) for path in links + paths if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_pages_name_modules_that_exist(page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    named = set(re.findall(r"python3? -m ([\w.]+)", (ROOT / page).read_text())) - {"pip", "venv", "pytest", "build"}
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_the_files_that_the_architecture_page_lists_exist():
    rows = re.findall(r"^\| `(\w+/)` \|(.*)$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    files = [f"{room}{name}" for room, text in rows for name in re.findall(r"`(\w+\.py)`", text)]
    assert files
    assert [name for name in files if not (ROOT / "mnist_zoo" / name).is_file()] == []
