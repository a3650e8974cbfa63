"""The package: public names, what importing them costs, console scripts, and the files in wheel and sdist."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import mnist_zoo

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(code: str, cwd: Path = ROOT) -> str:
    """Return what a new Python process prints."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_all_public_names_exist():
    promised = {"LitClassifier", "MNISTDataModule", "create_model", "list_models", "register_model"}
    assert promised <= set(dir(mnist_zoo))
    for name in mnist_zoo.__all__:
        assert getattr(mnist_zoo, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mnist_zoo.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    assert python("import sys, mnist_zoo; print({'torch', 'hydra', 'numpy'} & set(sys.modules))") == "set()\n"


def test_the_public_names_import_no_more_than_lightning_does():
    """Neither Hydra nor scikit-learn, pandas or TensorBoard."""
    code = """
import sys, pytorch_lightning
before = set(sys.modules)
from mnist_zoo import LitClassifier, MNISTDataModule, create_model
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    assert python(code) == "mnist_zoo\n"


@pytest.mark.parametrize("script", PROJECT["scripts"])
def test_every_console_script_has_its_function(script):
    module, function = PROJECT["scripts"][script].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_version_is_the_same_everywhere():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == mnist_zoo.__version__, "CHANGELOG.md and mnist_zoo/__init__.py differ"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mnist_zoo.__version__, "CITATION.cff and mnist_zoo/__init__.py differ"


@pytest.mark.slow
def test_a_wheel_runs_from_any_directory(tmp_path):
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = [name.partition("/")[2] for name in archive.getnames()]
    assert {"results/collect.py", "tests/conftest.py", "conf/config.yaml"} <= set(files)
    assert not [name for name in files if name.startswith(("outputs/", "data/"))]
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mnist_zoo/conf/config.yaml", "mnist_zoo/conf/model/cnn.yaml", "mnist_zoo/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "results/", "outputs/", "data/"))]

    # Only the wheel is installed in a new environment; the packages that it needs are those of this environment.
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "behind.pth").write_text(f"{here}\n")
    interpreter, empty = [tmp_path / "env/bin/python", "-E"], tmp_path / "empty"  # -E: without PYTHONPATH
    empty.mkdir()
    where = "import mnist_zoo; print(mnist_zoo.__file__)"
    found = subprocess.run([*interpreter, "-c", where], cwd=empty, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(tmp_path / "env"))
    arguments = ["data=mnist5k", "model=mlp", "epochs=1", "data.train_fraction=0.1"]
    done = subprocess.run([*interpreter, "-m", "mnist_zoo", *arguments], cwd=empty, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((empty / "outputs/runs").glob("*/metrics.json"))
