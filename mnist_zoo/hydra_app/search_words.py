"""The words of ``python -m mnist_zoo.search``: its own settings, and overrides of the training."""

from __future__ import annotations

import difflib

from mnist_zoo.errors import InputError

SETTINGS = ("search", "trials", "study", "algorithm", "prune")
DEFAULTS = {"trials": "20", "algorithm": "tpe", "prune": "true"}


def split(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the search's own settings as they were given, else by default, and the overrides of the training.

    Raises:
        InputError: if no search is named, a setting is given twice, misspelled, or has an impossible value.
    """
    given: dict[str, str] = {}
    overrides = []
    for word in words:
        key, _, value = word.partition("=")
        if key in given:
            raise InputError(f"{key}= was given twice")
        if key in SETTINGS:
            given[key] = value
            continue
        near = difflib.get_close_matches(key, SETTINGS, cutoff=0.75)
        if near:
            raise InputError(f"unknown setting '{key}'; did you mean {near[0]}?")
        overrides.append(word)
    if "search" not in given:
        raise InputError("no search was named: add search=NAME, a file of conf/search, or search=FILE.yaml")
    given = DEFAULTS | given
    trials, prune = given["trials"], given["prune"]
    if not (trials.isascii() and trials.isdecimal() and len(trials) < 20):
        raise InputError(f"trials={trials}: it must be an integer of 1 or more")
    if prune not in ("true", "false"):
        raise InputError(f"prune={prune}: it must be true or false")
    return given, overrides
