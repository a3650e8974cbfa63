"""Documentation: the API reference builds, examples in docstrings run, and pages name only what exists."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mnist_zoo
from mnist_zoo.data import sources
from mnist_zoo.hydra_app.arguments import parse_arguments
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.names import register_resolvers
from mnist_zoo.hydra_app.overrides import grid, parse
from mnist_zoo.models import registry

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in mnist_zoo.__all__ if name != "__version__"]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "mnist_zoo").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch, own_parts: None) -> None:
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


@pytest.mark.slow
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


def test_without_pdoc_one_line_says_what_to_install(tmp_path):
    (tmp_path / "pdoc.py").write_text("raise ImportError('no pdoc')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    line = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path / "api")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the API reference needs pdoc, which is not installed: pip install '")
    assert done.stderr.count("\n") == 1


# -- commands of the pages ---------------------------------------------------------------------------------------------


def blocks(language: str, after: str, page: str = "README.md") -> list[str]:
    """Return the code blocks of a page in a language, from a text on."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text[text.index(after) :], re.MULTILINE | re.DOTALL)


def trainings() -> list[str]:
    """Return the pages' commands that train: python -m mnist_zoo, in blocks and in the text."""
    code = "\n".join(block for page in PAGES for block in blocks("bash", "#", page))
    found = re.findall(r"python3? -m mnist_zoo (?!--help)[^&#\n]*", code)
    found += [
        line for page in PAGES for line in re.findall(r"`(python3? -m mnist_zoo [^`]*)`", (ROOT / page).read_text())
    ]
    return sorted({line.strip() for line in found if "<" not in line and "..." not in line and "--" not in line})


@pytest.mark.parametrize("line", trainings())
def test_the_trainings_in_the_pages_compose(line):
    register_resolvers()
    given = parse_arguments(shlex.split(line)[3:]).overrides
    known = [word for word in given if not word.startswith("hydra")]  # plug-ins of launchers are extras
    jobs = grid(parse(known))
    assert jobs
    if any("my_" in word for word in known):
        pytest.skip("parts of a plug-in of the page: tests of plug-ins train with such parts")
    assert compose_config(list(jobs[0]))["model"]["name"]


def run_script(*arguments: str, cwd: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, *arguments]
    done = subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_the_plug_in_of_the_readme_trains_as_shown(tmp_path):
    """In a folder that holds only the example's module and its two files of images."""
    heading = "## Add a model or a data set"
    module = blocks("python", heading)[0]
    name = re.match(r"# (\S+)\n", module)[1]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(module)
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/images.npy", rng.integers(0, 255, (1500, 28, 28)).astype(np.uint8))
    np.save(tmp_path / "data/labels.npy", np.arange(1500) % 10)
    commands = blocks("bash", heading)[0].replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in commands if "-m mnist_zoo " in line]
    assert commands
    for command in commands:
        run_script(*command[1:], "epochs=1", cwd=tmp_path)
    assert len(list(tmp_path.glob("outputs/runs/*/metrics.json"))) == len(commands)


@pytest.mark.slow
def test_the_python_example_of_the_readme_runs(tmp_path):
    script = blocks("python", "**Your own project.**")[0]
    assert "max_epochs=3" in script and "outputs/runs/<folder>/checkpoints" in script
    best = ROOT / "tests/fixtures/0.1.0/batches/checkpoints"
    script = script.replace("max_epochs=3", "max_epochs=1, limit_train_batches=3")
    (tmp_path / "own.py").write_text(script.replace("outputs/runs/<folder>/checkpoints", str(best)))
    run_script("own.py", cwd=tmp_path)
