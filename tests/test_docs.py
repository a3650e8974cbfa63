"""The API reference builds without a warning, has every public name, and its examples do what they say."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mnist_zoo
from mnist_zoo.data import sources
from mnist_zoo.models import registry

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in mnist_zoo.__all__ if name != "__version__"]


@pytest.fixture
def own_registries(monkeypatch):
    """What examples register ends with the test; and list_datasets shows no sets of other tests."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    ours = {name: source for name, source in sources._SOURCES.items() if source.__module__.startswith("mnist_zoo")}
    monkeypatch.setattr(sources, "_SOURCES", ours)


def examples(module) -> list[doctest.DocTest]:
    """Return the examples in a module's docstrings."""
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize(
    "module",
    [
        "classifier",
        "data.datamodule",
        "data.sources",
        "models.factory",
        "models.registry",
        "inference.predict",
        "inference.digitise",
        "inference.export",
        "weights.shipped",
    ],
)
def test_examples_in_docstrings_do_what_they_say(module, own_registries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)
    found = examples(importlib.import_module(f"mnist_zoo.{module}"))
    assert found, "a module on this list has examples"
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
    assert 'id="LitClassifier.training_step"' not in page  # Lightning's hooks are Lightning's to explain
    assert (tmp_path / "api" / "mnist_zoo" / "data.html").is_file()
