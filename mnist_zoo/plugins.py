"""Plug-ins: modules of other projects that register parts of a training when they are imported."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from mnist_zoo.errors import InputError


def import_plugin(name: str, setting: str = "plugins") -> ModuleType:
    """Import an installed module, or a module in the current folder. Its code runs with the user's rights.

    Args:
        name: of the module, with dots.
        setting: that names it, for messages.

    Raises:
        InputError: if it cannot be imported, whatever error it raises.
    """
    if "" not in sys.path:  # console scripts, unlike python -m, do not search the current folder
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{setting}: cannot import '{name}' ({error}): is it in this folder, or installed?") from error
    except Exception as error:  # anything may be wrong in a user's file
        raise InputError(
            f"{setting}: '{name}' raises {type(error).__name__} when it is imported ({error}): "
            f"python -c 'import {name}' shows where"
        ) from error
