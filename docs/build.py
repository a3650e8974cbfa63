"""Build the API reference from the docstrings: python docs/build.py [FOLDER]   (pip install 'mnist_zoo[docs]')."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

from mnist_zoo import __version__ as version

HERE = Path(__file__).parent
# The public names stand on the first page; behind it, what people subclass, call or read about.
MODULES = (
    "mnist_zoo",
    "mnist_zoo.models",
    "mnist_zoo.data",
    "mnist_zoo.inference.predict",
    "mnist_zoo.inference.digitise",
    "mnist_zoo.inference.export",
    "mnist_zoo.weights",
    "mnist_zoo.runs",
    "mnist_zoo.errors",
)


def build(folder: Path) -> None:
    """Write the HTML pages into a folder; a docstring or annotation that pdoc cannot make sense of is an error."""
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"mnist_zoo {version}")
    for name in MODULES:  # first, so that what other packages warn of while they are imported is no error
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            setattr(module, public, getattr(module, public))  # pdoc does not see names that load lazily
            _hide_hooks(getattr(module, public))
    with warnings.catch_warnings(action="error"):
        pdoc.pdoc(*MODULES, output_directory=folder)


def _hide_hooks(public: object) -> None:
    """Hide methods that have no docstring of ours: Lightning calls them, and its own pages describe them."""
    if isinstance(public, type):
        for name, member in vars(public).items():
            if inspect.isfunction(member) and not member.__doc__:
                member.__doc__ = "With the arguments above." if name == "__init__" else "@private"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "api"
    build(target)
    print(f"wrote {target / 'index.html'}")
