"""Checking a whole configuration against the table, before torch is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.registry import registered
from mnist_zoo.settings.checks import Check, text
from mnist_zoo.settings.classical import PIXEL_MODELS, refusal, require_unset, without
from mnist_zoo.settings.groups import Group, NamedGroup
from mnist_zoo.settings.parts import PARTS
from mnist_zoo.settings.table import GROUPS, NAMED, NEWER, SETTINGS


def check(cfg: Mapping[str, Any]) -> None:
    """Raise InputError for the first setting of a configuration that is unknown, missing or invalid.

    Args:
        cfg: a configuration with the keys of ``conf/config.yaml``; a node ``hydra`` is ignored.
    """
    known = (*SETTINGS, *GROUPS, *NAMED)
    for key in cfg:
        if key not in (*known, "hydra"):
            raise unknown("setting", key, known)
    absent = without(cfg)
    for key in known:
        if key in absent:
            require_unset(cfg["model"]["name"], key, cfg.get(key))
            continue
        if key not in cfg:
            if key in NEWER:
                continue
            raise _missing(key)
        _check_top(key, cfg)
    _check_data(cfg)
    if absent and cfg["data"].get("epoch_images") is not None:
        raise refusal(cfg["model"]["name"], f"data.epoch_images={_shown(cfg['data']['epoch_images'])}")
    if not absent:
        for key in PARTS:
            _check_registered(key, cfg)
        _check_together(cfg)


def check_value(key: str, value: object) -> None:
    """Raise InputError if `value` is invalid for the setting `key` (a dot between levels).

    Settings of groups with names are checked with the whole configuration, because they depend on the name.
    """
    group, _, rest = key.partition(".")
    found = SETTINGS.get(key) or (GROUPS[group].required | GROUPS[group].optional if group in GROUPS else {}).get(rest)
    if found is not None:
        _apply(found, key, value)


def checked_settings() -> Iterator[tuple[str, ...]]:
    """Yield every setting that has a check: group, name (``""`` where the settings do not depend on it) and key."""
    yield from (("", "", key) for key in SETTINGS)
    for name, group in GROUPS.items():
        yield from ((name, "", key) for key in (*group.required, *group.optional))
    yield from (
        ("model", choice, key) for choice, options in PIXEL_MODELS.options.items() for key in ("name", *options)
    )
    for name, named in NAMED.items():
        for choice, options in named.options.items():
            yield from ((name, choice, key) for key in ("name", *named.common, *options))
        if named.nameless:
            yield from ((name, "", key) for key in named.common)
        for below, group in named.groups.items():
            yield from ((f"{name}.{below}", "", key) for key in (*group.required, *group.optional))


def _check_top(key: str, cfg: Mapping[str, Any]) -> None:
    value = cfg[key]
    if key in SETTINGS:
        _apply(SETTINGS[key], key, value)
    elif key in GROUPS:
        _check_group(key, GROUPS[key], value)
    else:
        _check_named(key, PIXEL_MODELS if key == "model" and without(cfg) else NAMED[key], value)


def _check_group(path: str, group: Group, values: object) -> None:
    values = _mapping(path, values)
    for key in group.required:
        if key not in values:
            raise _missing(f"{path}.{key}")
    checks = group.required | group.optional
    for key, value in values.items():
        if key in group.instead:
            raise InputError(f"{path}.{key}: use {group.instead[key]} instead")
        if key not in checks:
            raise unknown(f"setting of {path}", key, checks)
        _apply(checks[key], f"{path}.{key}", value)


def _check_named(path: str, group: NamedGroup, values: object) -> None:
    values = _mapping(path, values)
    name = values.get("name")
    if "name" in values:
        _apply(text, f"{path}.name", name)
    elif not group.nameless:
        raise _missing(f"{path}.name")
    if "name" in values and name not in group.options and not group.open:
        raise unknown(group.kind, name, group.options)
    options = group.common | (group.options.get(name, {}) if name is not None else {})
    for key in (*options, *group.groups) if group.required else ():
        if key not in values and f"{path}.{key}" not in NEWER:
            raise _missing(f"{path}.{key}")
    for key, value in values.items():
        if key in group.groups:
            _check_group(f"{path}.{key}", group.groups[key], value)
        elif key in options:
            _apply(options[key], f"{path}.{key}", value)
        elif key != "name" and (
            name in group.options or name is None
        ):  # only its signature tells the options of a plug-in's function
            if name is None:
                raise unknown(f"setting of {path}", key, [*options, "name"])
            if not options:
                raise InputError(f"{path}.{key}: {group.kind} '{name}' has no options")
            raise unknown(f"option of {group.kind} '{name}'", key, [*options, *group.groups])


def _check_registered(path: str, cfg: Mapping[str, Any]) -> None:
    """Raise InputError for a name that is neither the library's nor registered, unless a plug-in may still bring it."""
    group, name = PARTS[path], cfg.get(path, {}).get("name")
    known = {*group.options, *registered(group.kind)}
    if name is not None and name not in known and not cfg["plugins"]:
        raise InputError(f"{path}.name={name}: {unknown(group.kind, name, known)}")


def _check_data(cfg: Mapping[str, Any]) -> None:
    """Raise InputError for values of ``data`` that are valid, but not together."""
    data = cfg["data"]
    if data["fallback"] is not None and data["fallback"] not in NAMED["data"].options and not cfg["plugins"]:
        problem = unknown("data set", data["fallback"], NAMED["data"].options)
        raise InputError(f"data.fallback={data['fallback']}: {problem}")
    folds, fold = data.get("folds"), data.get("fold")
    if (folds is None) != (fold is None):
        shown = f"data.folds={_shown(folds)} and data.fold={_shown(fold)}"
        raise InputError(f"{shown}: give both (data.folds=5 data.fold=0), or neither")
    if folds is not None and fold >= folds:
        raise InputError(f"data.fold={fold}: with data.folds={folds} it must be from 0 to {folds - 1}")


def _check_together(cfg: Mapping[str, Any]) -> None:
    """Raise InputError for values of a network's training that are valid, but not together."""
    optimizer = cfg["optimizer"]
    if optimizer["name"] == "sgd" and optimizer.get("nesterov") and not optimizer.get("momentum"):
        raise InputError("optimizer.nesterov=true needs optimizer.momentum above 0: set optimizer.nesterov=false")
    if cfg["trainer"].get("gradient_clip_algorithm") is not None and cfg["grad_clip"] is None:
        shown = f"trainer.gradient_clip_algorithm={cfg['trainer']['gradient_clip_algorithm']}"
        raise InputError(f"{shown} clips nothing without a limit: add grad_clip=NUMBER")
    warmup = cfg.get("adversary", {}).get("warmup", 0)
    if warmup and warmup >= cfg["epochs"]:
        raise InputError(f"adversary.warmup={warmup}: it must be below epochs={cfg['epochs']}")
    if cfg["scheduler"]["name"] in ("cosine", "warmup_cosine") and cfg["scheduler"].get("min_lr", 0) > cfg["lr"]:
        raise InputError(f"scheduler.min_lr={cfg['scheduler']['min_lr']}: it must be lr={cfg['lr']} or less")


def _apply(check: Check, key: str, value: object) -> None:
    problem = check(value)
    if problem:
        raise InputError(f"{key}={_shown(value)}: {problem}")


def _shown(value: object) -> str:
    """Return a value as it is written on the command line, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    shown = str(value) if not isinstance(value, int) or abs(value) < 10**50 else "an integer of more than 50 digits"
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def _mapping(path: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    example = f"{path}=NAME" if path in NAMED or path in ("augment", "trainer", "speed") else f"{path}.setting=value"
    raise InputError(f"{path}={_shown(value)}: it is a group of settings: write {example}")


def _missing(key: str) -> InputError:
    return InputError(f"the setting {key} is missing: it must have a value (~{key} removes it)")
