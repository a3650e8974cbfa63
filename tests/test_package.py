"""The library as a package: what importing costs, and that a wheel carries all it needs."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import mnist_zoo

ROOT = Path(__file__).parents[1]


def python(code: str, cwd: Path = ROOT) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_the_public_names_are_all_there():
    promised = {"LitClassifier", "MNISTDataModule", "create_model", "list_models", "register_model"}
    assert promised <= set(dir(mnist_zoo))
    for name in mnist_zoo.__all__:
        assert getattr(mnist_zoo, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mnist_zoo.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    assert python("import sys, mnist_zoo; print({'torch', 'hydra', 'numpy'} & set(sys.modules))") == "set()\n"


def test_the_public_names_bring_nothing_that_lightning_does_not():
    """Neither Hydra nor scikit-learn, pandas or TensorBoard."""
    code = """
import sys, pytorch_lightning
before = set(sys.modules)
from mnist_zoo import LitClassifier, MNISTDataModule, create_model
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    assert python(code) == "mnist_zoo\n"


def test_models_know_neither_lightning_nor_hydra():
    code = "import sys; import mnist_zoo.models; print({'pytorch_lightning', 'hydra'} & set(sys.modules))"
    assert python(code) == "set()\n"


@pytest.mark.slow
def test_a_wheel_runs_from_any_directory(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "mnist_zoo/conf/config.yaml" in names and "mnist_zoo/conf/model/cnn.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "outputs/", "data/"))]

    # The wheel alone in a new environment, with this one's packages visible behind it.
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "behind.pth").write_text(f"{here}\n")
    interpreter, empty = tmp_path / "env/bin/python", tmp_path / "empty"
    empty.mkdir()
    where = "import mnist_zoo; print(mnist_zoo.__file__)"
    found = subprocess.run([interpreter, "-c", where], cwd=empty, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(tmp_path / "env"))
    arguments = ["data=mnist5k", "model=mlp", "epochs=1", "data.train_fraction=0.1"]
    done = subprocess.run([interpreter, "-m", "mnist_zoo", *arguments], cwd=empty, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((empty / "outputs/runs").glob("*/metrics.json"))
