"""The package: public names, what importing them costs, console scripts, and the files in wheel and sdist."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import mnist_zoo
from mnist_zoo import LitClassifier
from mnist_zoo.errors import install_command
from mnist_zoo.hydra_app.lazy_help import lazy_help

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
    code = """
import sys, pytorch_lightning
before = set(sys.modules)
from mnist_zoo import LitClassifier, MNISTDataModule, create_model
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    others = {"hydra", "omegaconf", "sklearn", "pandas", "matplotlib", "tensorboard", "mlxtend", "optuna", "onnx"}
    assert set(python(code).split()) & others == set()


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


# -- the lowest versions of other packages ------------------------------------------------------------------------

CLOSED = {  # the first version without a known hole
    "pytorch-lightning": "2.6.6",  # runs code from a checkpoint's _instantiator
    "hydra-core": "1.3.6",  # instantiates more than it should
    "torch": "2.10",  # memory corruption in torch.load(weights_only=True)
    "torchvision": "0.25",  # the one for torch 2.10
}


@pytest.mark.parametrize("name", CLOSED)
def test_no_version_with_a_known_hole_is_allowed(name):
    (wanted,) = [Requirement(line) for line in PROJECT["dependencies"] if Requirement(line).name == name]
    lowest = min(Version(limit.version) for limit in wanted.specifier if limit.operator == ">=")
    assert lowest >= Version(CLOSED[name])


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_the_installed_versions_are_allowed(line):
    wanted = Requirement(line)
    assert wanted.specifier.contains(importlib.metadata.version(wanted.name))


def test_every_dependency_has_a_lowest_version():
    """`.ci/floors` installs it."""
    assert [line for line in PROJECT["dependencies"] if ">=" not in line] == []


def test_loading_a_checkpoint_does_not_call_the_function_that_it_names(tmp_path, monkeypatch):
    (tmp_path / "harmful.py").write_text("def call(*arguments):\n    open('called', 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    content = {"_instantiator": "harmful.call", "model": "mlp"}
    torch.save({"hyper_parameters": content, "state_dict": {}, "pytorch-lightning_version": "2.6.6"}, "own.ckpt")
    with pytest.raises(ValueError, match="instantiator"):
        LitClassifier.load_from_checkpoint("own.ckpt", weights_only=True)
    assert not Path("called").exists()


def test_every_checkpoint_is_read_with_weights_only():
    """torch.load, load_from_checkpoint, and the methods of Trainer that take a ckpt_path."""
    readers, found = {"load_from_checkpoint", "fit", "test", "validate", "predict"}, 0
    for path in sorted((ROOT / "mnist_zoo").rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            name = ast.unparse(call.func)
            last = name.rpartition(".")[2]
            if name.startswith("super()"):  # LitClassifier's own method passes on what it was given
                assert inspect.signature(LitClassifier.load_from_checkpoint).parameters["weights_only"].default is True
            elif name == "torch.load" or last == "load_from_checkpoint" or (last in readers and "ckpt_path" in given):
                found += 1
                asked = given.get("weights_only")
                assert isinstance(asked, ast.Constant) and asked.value is True, f"{path.name}:{call.lineno}"
    assert found >= 3


# -- extras -------------------------------------------------------------------------------------------------------


def test_every_extra_that_is_named_exists():
    """Named as the README says it, pip install '.[name]', or by messages, through install_command."""
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/build.py", *(ROOT / "conf").rglob("*.yaml")]
    places += (ROOT / "docs").glob("*.md")
    places += [path for room in ("mnist_zoo", "benchmarks", "notebooks") for path in (ROOT / room).rglob("*.[pi]*y*")]
    text = "\n".join(path.read_text() for path in places if path.suffix in (".md", ".py", ".yaml", ".ipynb"))
    named = {
        name for names in re.findall(r"""pip install (?:-e )?['"]\.\[([\w,]+)\]""", text) for name in names.split(",")
    }
    named |= set(re.findall(r"""install_command\(['"](\w+)""", text))
    assert {"dev", "search", "export", "docs", "tsne", "benchmark"} <= named
    assert named <= set(PROJECT["optional-dependencies"])
    assert "pip install 'mnist_zoo[" not in text, "mnist_zoo is on no package index"


@pytest.mark.parametrize(
    ("required", "command"),
    [
        (["torch>=2.10", "optuna>=4; extra == 'search'"], "pip install 'optuna>=4'"),
        (['a>=1; extra == "search"', 'b; extra == "search"'], "pip install 'a>=1' 'b'"),
        (["optuna>=4; extra == 'searching'"], "pip install '.[search]'"),
        (None, "pip install '.[search]'"),
    ],
)
def test_the_packages_of_an_extra_are_installed_by_name(monkeypatch, required, command):
    monkeypatch.setattr("importlib.metadata.requires", lambda name: required)
    assert install_command("search") == command


# -- Python 3.14 --------------------------------------------------------------------------------------------------


class LaterText:
    """A help text like Hydra's for --shell-completion: argparse of Python 3.14 asks whether it contains "%"."""

    def __repr__(self) -> str:
        return "made when it is printed"


def test_a_help_text_may_be_made_when_it_is_printed():
    parser = argparse.ArgumentParser()
    before = argparse.ArgumentParser.add_argument
    with lazy_help():
        option = parser.add_argument("--completion", action="store_true", help=LaterText())
        plain = parser.add_argument("--plain", help="a text")
    assert "%" not in option.help
    assert f"{option.help}" == "made when it is printed"
    assert plain.help == "a text"
    assert argparse.ArgumentParser.add_argument is before
    assert "add_argument" not in vars(argparse.ArgumentParser)


OUTSIDE = """
import torch
from torchvision.transforms import v2

from mnist_zoo import register_augmentation, register_optimizer

register_optimizer("adagrad")(torch.optim.Adagrad)


@register_augmentation("perspective")
def perspective(images, generator, distortion=0.3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        return v2.RandomPerspective(distortion, p=1.0)(images)
"""


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
    # An optimizer and an augmentation of other packages, by a module beside the user's outputs.
    (empty / "outside.py").write_text(OUTSIDE)
    arguments = ["data=mnist5k", "model=mlp", "epochs=1", "data.train_fraction=0.1", "plugins=[outside]"]
    arguments += ["optimizer=adagrad", "optimizer.lr_decay=0.01", "augment=perspective"]
    done = subprocess.run([*interpreter, "-m", "mnist_zoo", *arguments], cwd=empty, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (metrics,) = (empty / "outputs/runs").glob("*/metrics.json")
    record = json.loads(metrics.read_text())
    assert (record["optimizer"]["name"], record["optimizer"]["lr_decay"]) == ("adagrad", 0.01)
    assert record["augment"]["name"] == "perspective"
