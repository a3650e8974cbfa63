"""What can be chosen on the command line: read from the files of ``conf/`` and from plug-ins, without torch."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mnist_zoo.errors import unknown
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR
from mnist_zoo.hydra_app.overrides import value_text

# What is listed, and the key with which the command line chooses it: a folder of conf/.
KINDS = {
    "models": "model",
    "data": "data",
    "augment": "augment",
    "adversaries": "adversary",
    "optimizers": "optimizer",
    "schedulers": "scheduler",
    "losses": "loss",
    "experiments": "experiment",
    "searches": "search",
    "trainers": "trainer",
    "launchers": "hydra/launcher",
    "loggers": "logger",
    "speed": "speed",
}
WITH_OPTIONS = ("models", "augment", "adversaries", "optimizers", "schedulers", "losses")


@dataclass(frozen=True)
class Choice:
    """One option of a group.

    Attributes:
        name: of the option.
        about: what it is, in one line.
        options: its settings and their defaults.
    """

    name: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)


def choices(kind: str, plugins: Iterable[str] = ()) -> list[Choice]:
    """Return what there is of a kind, sorted by name, and then what the plug-ins add.

    Args:
        kind: a key or a value of `KINDS`.
        plugins: modules that register parts. They are imported, and torch with them.

    Raises:
        InputError: if the kind is unknown or a plug-in cannot be imported.
    """
    names = {**{name: name for name in KINDS}, **{group: name for name, group in KINDS.items()}}
    if kind not in names:
        raise unknown("list", kind, KINDS)
    kind = names[kind]
    folder = CONFIG_DIR / KINDS[kind]
    found = [
        Choice(path.stem, _about(path), _options(path) if kind in WITH_OPTIONS else {})
        for path in sorted(folder.glob("*.yaml"))
    ]
    return [*found, *_of_plugins(kind, plugins, {choice.name for choice in found})]


def _about(path: Path) -> str:
    """Return the first comment of a file, up to an empty line of it."""
    lines = []
    for line in path.read_text().splitlines():
        if line.startswith("# @package"):
            continue
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or not text:
            break
        lines.append(text)
    return " ".join(lines)


def _options(path: Path) -> dict[str, Any]:
    """Return the settings in a file and in those that it builds on, without its name."""
    content = yaml.safe_load(path.read_text()) or {}
    found: dict[str, Any] = {}
    for base in content.pop("defaults", []):
        if isinstance(base, str) and base != "_self_" and not base.startswith("/"):  # "/": settings of other groups
            found |= _options(path.with_name(f"{base}.yaml"))
    return {key: value_text(value) for key, value in {**found, **content}.items() if key != "name"}


def _of_plugins(kind: str, plugins: Iterable[str], known: set[str]) -> list[Choice]:
    """Return the parts of a kind that plug-ins register."""
    found = []
    for plugin in plugins:
        from mnist_zoo.plugins import import_plugin

        import_plugin(plugin)
        registered = _registered(kind)
        found += [_described(name, part, plugin) for name, part in registered.items() if name not in known]
        known |= set(registered)
    return found


def _registered(kind: str) -> dict[str, Any]:
    """Return the functions and classes of a kind by their names, sorted; empty for what plug-ins cannot register."""
    from mnist_zoo.data.sources import list_datasets, source_of
    from mnist_zoo.hydra_app.registries import registries
    from mnist_zoo.models.registry import builder_of, list_models

    if kind == "models":
        return {name: builder_of(name) for name in list_models()}
    if kind == "data":
        return {name: source_of(name) for name in list_datasets()}
    registry = registries().get(KINDS[kind])
    return {} if registry is None else {name: registry[name] for name in registry}


def _described(name: str, function: Any, plugin: str) -> Choice:
    """Return the choice of a registered function or class, from its docstring and its parameters."""
    about = (inspect.getdoc(function) or "").partition("\n")[0]
    options = {
        key: value_text(parameter.default)
        for key, parameter in inspect.signature(function).parameters.items()
        if key not in ("num_classes", "in_chans", "root", "lr") and parameter.default is not parameter.empty
    }
    return Choice(name, f"{about} (plugins=[{plugin}])".strip(), options)
