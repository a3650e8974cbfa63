"""Build the API reference from the docstrings: python docs/build.py [FOLDER]   (needs pip install '.[docs]')."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from pathlib import Path

from mnist_zoo import __version__ as version
from mnist_zoo.errors import install_command

HERE = Path(__file__).parent
# The first page has the public names; the other pages have what users call, subclass or read about.
MODULES = (
    "mnist_zoo",
    "mnist_zoo.models",
    "mnist_zoo.data",
    "mnist_zoo.training.run",
    "mnist_zoo.speed",
    "mnist_zoo.inference.predict",
    "mnist_zoo.inference.digitise",
    "mnist_zoo.inference.export",
    "mnist_zoo.weights",
    "mnist_zoo.runs",
    "mnist_zoo.errors",
)


def build(folder: Path) -> None:
    """Write the HTML pages to a folder. A docstring or annotation that pdoc cannot interpret raises an error."""
    try:
        import pdoc
        import pdoc.render
    except ImportError:
        sys.exit(f"error: the API reference needs pdoc, which is not installed: {install_command('docs')}")
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"mnist_zoo {version}")
    for name in MODULES:  # imported first: warnings of other packages during their import are not errors
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            setattr(module, public, getattr(module, public))  # pdoc does not find names that load lazily
            _hide_hooks(getattr(module, public))
    with warnings.catch_warnings(action="error"):
        pdoc.pdoc(*MODULES, output_directory=folder)


def _hide_hooks(public: object) -> None:
    """Hide methods without a docstring: Lightning calls them and documents them."""
    if isinstance(public, type):
        for name, member in vars(public).items():
            if inspect.isfunction(member) and not member.__doc__:
                member.__doc__ = "Takes the arguments above." if name == "__init__" else "@private"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "api"
    build(target)
    print(f"wrote {target / 'index.html'}")
