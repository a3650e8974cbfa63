"""Modules of other people's projects that register networks and data sets."""

from __future__ import annotations

import importlib
import sys

from mnist_zoo.errors import InputError


def import_plugin(name: str) -> None:
    """Import a module of the current folder, or an installed one, so that what it registers is known.

    Raises:
        InputError: if it cannot be imported.
    """
    if "" not in sys.path:  # the console scripts, unlike python -m, do not look in the current folder
        sys.path.insert(0, "")
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"plugins: cannot import '{name}' ({error}): is it in this folder, or installed?") from error
