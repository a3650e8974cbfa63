"""Plug-ins: modules of other projects that register networks and data sets when they are imported."""

from __future__ import annotations

import importlib
import sys

from mnist_zoo.errors import InputError


def import_plugin(name: str) -> None:
    """Import an installed module, or a module in the current folder. Its code runs with the user's rights.

    Raises:
        InputError: if it cannot be imported, whatever error it raises.
    """
    if "" not in sys.path:  # console scripts, unlike python -m, do not search the current folder
        sys.path.insert(0, "")
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"plugins: cannot import '{name}' ({error}): is it in this folder, or installed?") from error
    except Exception as error:  # anything may be wrong in a user's file
        raise InputError(
            f"plugins: '{name}' raises {type(error).__name__} when it is imported ({error}): "
            f"python -c 'import {name}' shows where"
        ) from error
