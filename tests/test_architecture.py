"""Rules of the source: which way imports point, how long files are, and that no private name of a library is used.

All rules are checked on the syntax tree; nothing is imported. docs/architecture.md explains the rooms.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mnist_zoo"

# The rooms from the bottom to the top, and what each may import besides itself. "data.filters" allows one module only.
# __version__ may be imported everywhere.
ROOMS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "confidence": (),
    "splits": (),
    "names": (),
    "machine": (),
    "internals": (),
    "files": ("errors",),
    "command": ("errors",),
    "plugins": ("errors",),
    "registry": ("errors",),
    "weights": ("errors",),
    "attribution": ("errors",),
    "deformation": ("errors",),
    "models": ("weights", "names", "errors"),
    "optim": ("registry", "errors"),
    "losses": ("registry", "errors"),
    "classifier": ("optim", "losses", "models", "weights", "registry", "errors"),
    "runs": ("files", "errors", "machine", "splits"),
    "data": ("splits", "files", "errors", "plugins", "registry"),
    "plots": ("confidence", "runs", "files", "errors"),
    "speed": ("classifier", "optim", "models", "data", "internals", "errors"),
    "waiting": ("speed.imports",),
    "settings": ("speed.names", "registry", "names", "errors"),
    "training": (
        *("settings", "speed", "classifier", "optim", "models", "weights", "data", "runs", "plots"),
        *("internals", "machine", "plugins", "splits", "files", "errors"),
    ),
    "stacked": (
        *("training", "settings", "speed", "classifier", "optim", "losses", "data", "runs", "internals", "splits"),
        "errors",
    ),
    "classical": (
        *("training", "settings", "classifier", "data", "runs", "confidence", "registry", "machine", "names"),
        *("splits", "files", "errors"),
    ),
    "sklearn": ("training", "classifier", "models", "data", "names", "errors"),
    "report": (
        *("attribution", "confidence", "models", "weights", "runs", "data", "plots", "splits", "waiting", "files"),
        "errors",
    ),
    "robustness": (
        *("confidence", "speed", "classifier", "models", "weights", "data", "runs", "machine", "plugins", "waiting"),
        *("files", "errors"),
    ),
    "inference": (
        *("attribution", "models", "weights", "runs", "plots", "data.filters", "plugins", "files", "errors"),
    ),
    "pretraining": ("models", "weights", "data", "errors"),
    "hydra_app": (
        *(
            "stacked",
            "classical",
            "pretraining",
            "training",
            "weights",
            "settings",
            "runs",
            "plots",
            "data",
            "models",
            "optim",
        ),
        *("losses", "registry", "plugins", "speed.names", "machine"),
        *("waiting", "files", "errors"),
    ),
    "versus": (
        "confidence",
        "robustness",
        "hydra_app",
        "settings",
        "report",
        "runs",
        "data",
        "plots",
        "files",
        "errors",
    ),
    "doors": (
        "versus",
        "hydra_app",
        "training",
        "settings",
        "runs",
        "inference",
        "robustness",
        "plots",
        "report",
        "data",
        "internals",
        "speed.imports",
        "waiting",
        "plugins",
        "command",
        "files",
        "errors",
    ),
}
# Modules whose room is not the first part of their name.
DOORS = (
    *(
        "list",
        "status",
        "search",
        "lr_find",
        "pretrain",
        "predict",
        "export",
        "explore",
        "evaluate",
        "label_errors",
        "card",
        "draw",
        "describe",
    ),
    *("report.__main__", "versus.__main__"),
)
ROOM_OF = dict.fromkeys((*DOORS, "__main__"), "doors") | {"adversary": "classifier"}

# Rooms that the page on the architecture leaves out: small, or inside another line of it.
NOT_DRAWN = ("deformation", "splits", "waiting")

# Libraries that take long to import, and the modules that must not import them before they are needed: `--help`, a
# wrong override and `import mnist_zoo` then answer at once.
HEAVY = {
    *("torch", "torchvision", "torchmetrics", "pytorch_lightning"),
    *("numpy", "pandas", "scipy", "sklearn", "matplotlib"),
}
LIGHT = ("__main__", "runs", "hydra_app", "waiting", *DOORS)

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_DOOR = 350, 60, 60  # lines, docstrings and comments included
# Public in spite of the underscore: os._exit and the methods of namedtuples.
PUBLIC = {"_exit", "_asdict", "_fields", "_make", "_replace"}
# Attributes of pytorch_lightning.Trainer that its documentation does not describe.
UNDOCUMENTED = {"fit_loop", "epoch_loop", "optim_step_progress", "optim_progress"}


class Import(NamedTuple):
    """One import of a module or of a name in it, as it stands in a file."""

    target: str  # with dots; a module of ours without "mnist_zoo."
    names: tuple[str, ...]
    line: int
    early: bool  # carried out when the file is imported


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def modules() -> dict[str, Path]:
    """Return the files of the package by module name: "" for mnist_zoo, "data" for mnist_zoo.data."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def sources(*folders: str) -> list[Path]:
    return sorted(chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders))


def room(module: str) -> str:
    return ROOM_OF.get(module, module.split(".")[0])


def _statements(node: ast.AST, early: bool = True):
    """Yield every node below, with whether it is carried out when the file is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue  # for annotations only; it does not exist at run time
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield child, early
        yield from _statements(child, early and not function)


@cache
def imports(path: Path) -> list[Import]:
    """Return every import of a file, at its top and in functions."""
    found = []
    for node, early in _statements(tree(path)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, (), node.lineno, early) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import with the full name, not a relative one"
            found.append(Import(node.module, tuple(alias.name for alias in node.names), node.lineno, early))
    return found


@cache
def internal(module: str) -> list[Import]:
    """Return a module's imports of other modules of ours, one for each of them: all targets exist."""
    found = []
    for target, names, line, early in imports(modules()[module]):
        if target.split(".")[0] != "mnist_zoo":
            continue
        package = target.partition(".")[2]
        for name in names or [""]:
            part = f"{package}.{name}".strip(".")
            if part in modules():  # from mnist_zoo.data import split: the module
                found.append(Import(part, (), line, early))
            else:
                found.append(Import(package, (name,), line, early))
    return [each for each in found if each.names != ("__version__",)]


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_import_points_down():
    wrong = []
    for module, path in modules().items():
        if not module:  # mnist_zoo/__init__.py names the public names' modules
            continue
        assert room(module) in ROOMS, f"{path}: add its room to the table above"
        for target, names, line, _ in internal(module):
            allowed = (room(module), *ROOMS[room(module)])
            if target and not any(room(target) == one or f"{target}.".startswith(f"{one}.") for one in allowed):
                wrong.append(f"{place(path, line)}: {room(module)} may not import {target}")
            if not target:
                wrong.append(f"{place(path, line)}: import {names[0]} from the module that defines it")
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_rooms_form_no_circle():
    order = [*ROOMS]
    for name, allowed in ROOMS.items():
        for other in allowed:
            assert order.index(other.split(".")[0]) < order.index(name), f"{name} may not import {other}: it is above"


def test_the_page_on_the_architecture_draws_arrows_that_exist():
    drawing = (ROOT / "docs/architecture.md").read_text().partition("```text\n")[2].partition("```")[0]
    lines = re.findall(r"^([\w, ]+) -> ([\w, ]+?)(?:  +\(.*)?$", drawing, re.MULTILINE)
    assert len(lines) >= 15
    allowed = {room: {name.partition(".")[0] for name in names} for room, names in ROOMS.items()}
    arrows = {(room.strip(), name) for rooms, names in lines for room in rooms.split(",") for name in names.split(", ")}
    assert sorted((room, name) for room, name in arrows if name not in allowed[room]) == []
    drawn = {room for arrow in arrows for room in arrow}
    assert sorted(set(ROOMS) - drawn) == sorted(NOT_DRAWN)


def test_modules_form_no_circle():
    """Imports in functions count."""
    graph = {module: {each.target for each in internal(module)} - {module} for module in modules() if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("name", ["models", "weights"])
def test_networks_and_weights_import_neither_lightning_nor_hydra(name):
    unwanted = {"pytorch_lightning", "lightning", "lightning_fabric", "torchmetrics", "hydra", "omegaconf"}
    for module, path in modules().items():
        if module.split(".")[0] == name:
            for target, _, line, _ in imports(path):
                assert target.split(".")[0] not in unwanted, place(path, line)


def test_the_package_imports_nothing_from_outside_it():
    for path in modules().values():
        for target, _, line, _ in imports(path):
            assert target.split(".")[0] not in {"benchmarks", "results", "hydra_plugins", "tests"}, place(path, line)


@pytest.mark.parametrize("name", LIGHT)
def test_what_must_answer_at_once_imports_nothing_heavy(name):
    seen: set[str] = set()

    def visit(module: str, way: str) -> None:
        for package in _with_packages(module):
            if package in seen:
                continue
            seen.add(package)
            path = modules()[package]
            for target, _, line, early in imports(path):
                heavy = early and target.split(".")[0] in HEAVY
                assert not heavy, f"{way}{place(path, line)} imports {target}: import it where it is used"
            for target, _, line, early in internal(package):
                if early:
                    visit(target, f"{way}{place(path, line)} -> ")

    below = [module for module in modules() if module.startswith(f"{name}.")] if name == "hydra_app" else []
    for module in (name, *below):
        visit(module, "")


def _with_packages(module: str) -> list[str]:
    """Return a module and the packages that Python imports before it."""
    parts = module.split(".") if module else []
    return [".".join(parts[:count]) for count in range(len(parts) + 1)]


@pytest.mark.parametrize("name", DOORS)
def test_doors_are_thin(name):
    path = modules()[name]
    assert len(path.read_text().splitlines()) < LONGEST_DOOR
    functions = [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)]
    assert "main" in functions, f"{path} defines no main()"


def test_files_and_functions_are_short():
    long = []
    for path in sources("mnist_zoo", "hydra_plugins", "benchmarks", "results", "docs", "examples"):
        count = len(path.read_text().splitlines())
        if count >= LONGEST_FILE:
            long.append(f"{path.relative_to(ROOT)} has {count} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                count = node.end_lineno - node.lineno + 1
                if count >= LONGEST_FUNCTION:
                    long.append(f"{place(path, node.lineno)}: {node.name} has {count} lines")
    assert not long, "\n" + "\n".join(long)


def test_every_command_takes_its_words_before_between_and_after_the_options():
    """`parse_args` takes those of one place only: `report A --out DIR B` would be an error."""
    plain = [str(path.relative_to(ROOT)) for path in sources("mnist_zoo") if ".parse_args(" in path.read_text()]
    assert not plain, f"use parse_intermixed_args in {', '.join(plain)}"


def test_the_help_of_a_command_calls_it_as_the_guides_do():
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"): re.findall(
            r'prog="([^"]+)"', path.read_text()
        )
        for path in sources("mnist_zoo")
    }
    assert {module: names for module, names in named.items() if names not in ([], [f"python -m {module}"])} == {}
    assert len([names for names in named.values() if names]) >= 12


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def _own_names(path: Path) -> set[str]:
    """Return the private names that a file defines: functions, classes, attributes and variables."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def private_uses(path: Path) -> list[str]:
    """Return where a file uses a private name that it does not define itself, or an undocumented attribute."""
    own, found = _own_names(path), []
    for target, names, line, _ in imports(path):
        if any(map(_is_private, (*target.split("."), *names))):
            found.append(f"{place(path, line)}: {' '.join((target, *names))}")
    for node in ast.walk(tree(path)):
        name = None
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            name = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else None
        if isinstance(name, str) and name not in own and (_is_private(name) or name in UNDOCUMENTED):
            found.append(f"{place(path, node.lineno)}: {ast.unparse(node)}")
    return found


def test_private_names_of_other_libraries_stand_in_internals_only():
    """A private name of our own stays in its module, too."""
    used = []
    for path in sources("mnist_zoo", "hydra_plugins", "benchmarks", "results", "docs", "examples"):
        if path != PACKAGE / "internals.py":
            used += private_uses(path)
    assert not used, "\n" + "\n".join(used)


@pytest.mark.parametrize(
    ("code", "uses"),
    [
        ("from hydra._internal.utils import get_args_parser", 1),
        ("import torch._C", 1),
        ("from torch.utils import _pytree", 1),
        ("trainer._loggers", 1),
        ("trainer.fit_loop.epoch_loop", 2),
        ("getattr(trainer, '_loggers', None)", 1),
        ("class A(B):\n    def f(self): return self._parse_config()", 1),
        ("class A:\n    def __init__(self, a): self._a = a._a", 0),
        ("def _f(): ...\n_f()", 0),
        ("row._asdict(), row.__dict__, trainer.max_epochs", 0),
    ],
)
def test_private_names_are_found(tmp_path, monkeypatch, code, uses):
    """The rule above finds what it is meant to find."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(code)
    assert len(private_uses(tmp_path / "module.py")) == uses
