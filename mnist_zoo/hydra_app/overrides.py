"""Hydra's overrides (``key=value``): parse them, list their values, expand a grid."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override

from mnist_zoo.errors import InputError

PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*")  # text for Hydra: without a slash it may be a number


def parse(overrides: Sequence[str]) -> list[Override]:
    """Return the parsed overrides.

    Raises:
        OverrideParseException: if one is not an override.
        InputError: if one has no key (``=0``), which Hydra's parser accepts.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in parsed:
        if not override.key_or_group:
            raise InputError(f"'{override.input_line}' is not an override: write key=value")
    return parsed


def values(override: Override) -> list[object]:
    """Return the values that an override gives to its key: one, or those of a sweep.

    There are none for an interval, and for a glob: its values are names of files, which Hydra looks up later.
    """
    if not override.is_sweep_override():
        return [override.value()]
    if not override.is_discrete_sweep() or isinstance(override.value(), Glob):
        return []
    return [parse([f"x={text}"])[0].value() for text in override.sweep_string_iterator()]


def quote_path(override: str) -> str:
    """Return ``key=path`` with the path quoted where it has to be: names of run folders contain ``=`` and ``,``."""
    key, _, value = override.partition("=")
    if value in ("", "null") or value[0] in "'\"" or PLAIN_PATH.fullmatch(value):
        return override
    return f"{key}='" + value.replace("'", "\\'") + "'"


def quote_paths(words: Sequence[str]) -> list[str]:
    """Return the words with paths of runs quoted. A ``pretrained=`` that is no path may be the values of a sweep."""
    paths = (word.startswith("resume=") or _is_path(word, "pretrained=") for word in words)
    return [quote_path(word) if is_path else word for word, is_path in zip(words, paths, strict=True)]


def _is_path(word: str, key: str) -> bool:
    return word.startswith(key) and Path(word.removeprefix(key)).exists()


def value_text(value: object) -> object:
    """Return a value as the command line takes it: ``null``, ``true`` and ``false`` for those of Python."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else value


def top_level_key(override: str) -> str:
    """Return the first part of an override's key: ``model`` for ``+model.width=3``."""
    return re.split(r"[.=/@]", override.lstrip("+~"))[0]


def grid(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job: every combination of the swept values. The last key changes fastest.

    If a key occurs twice, its last override counts.

    Raises:
        InputError: if an override has infinitely many values, such as ``lr=interval(0,1)``, or none, as ``range(0)``.
    """
    choices: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise InputError(f"{override.input_line}: a sweep needs a list of values, such as {key}=0.1,0.01")
        if not choices[key]:
            raise InputError(f"{override.input_line}: this gives {key} no value, and the sweep would have no jobs")
    return [list(job) for job in itertools.product(*choices.values())]
