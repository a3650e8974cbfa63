"""The callbacks of ``callbacks=[my_package.my_module.MyCallback]``."""

from __future__ import annotations

from collections.abc import Iterable

from pytorch_lightning.callbacks import Callback

from mnist_zoo.errors import InputError
from mnist_zoo.plugins import import_plugin


def load_callbacks(names: Iterable[str]) -> list[Callback]:
    """Import the modules of callbacks, and return an object of each class, made without arguments.

    Args:
        names: of the classes, with their modules.

    Raises:
        InputError: if a module cannot be imported, or has no such class of callbacks that can be made so.
    """
    return [_load(name) for name in names]


def _load(name: str) -> Callback:
    module, _, kind = name.rpartition(".")
    found = getattr(import_plugin(module, "callbacks"), kind, None)
    if not isinstance(found, type) or not issubclass(found, Callback):
        what = "there is no such name" if found is None else "it is not a class of pytorch_lightning.Callback"
        raise InputError(f"callbacks: {name}: {what}")
    try:
        return found()
    except Exception as error:  # anything may be wrong in a user's class
        raise InputError(
            f"callbacks: {name}() raises {type(error).__name__} ({error}): the class must need no arguments"
        ) from error
