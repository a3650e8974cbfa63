"""A registry of parts by name, for optimizers, schedules, augmentations and losses. It imports nothing heavy."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from mnist_zoo.errors import InputError, unknown

Part = TypeVar("Part", bound=Callable[..., Any])
AnyPart = TypeVar("AnyPart", bound=Callable[..., Any])
_ALL: dict[str, Registry[Any]] = {}  # those whose modules are imported


class Registry(Generic[Part]):
    """Functions or classes by name. Their options are their parameters without those that the library gives.

    Args:
        kind: what is registered, such as ``optimizer``.
        given: the parameters that the library gives.
    """

    def __init__(self, kind: str, given: tuple[str, ...]):
        self.kind, self.given = kind, given
        self._parts: dict[str, Part] = {}
        _ALL[kind] = self

    def register(self, name: str) -> Callable[[AnyPart], AnyPart]:
        """Return a decorator that registers a part.

        Raises:
            InputError: if the name is not a text, or is already registered.
        """
        if not isinstance(name, str) or not name:
            raise InputError(f"register_{self.kind} needs a name: @register_{self.kind}('my_{self.kind}')")

        def add(part: AnyPart) -> AnyPart:
            if name in self._parts:
                article = "an" if self.kind[0] in "aeiou" else "a"
                raise InputError(f"{article} {self.kind} named '{name}' is already registered; choose another name")
            self._parts[name] = part  # type: ignore[assignment]  # the type of the caller, which is the narrower one
            return part

        return add

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __getitem__(self, name: str) -> Part:
        """Return a part. Raises InputError, which lists the most similar names, if there is none of this name."""
        if name not in self._parts:
            raise unknown(self.kind, name, self._parts)
        return self._parts[name]

    def parameters(self, name: str) -> Mapping[str, inspect.Parameter]:
        """Return all parameters of a part."""
        return inspect.signature(self[name]).parameters

    def defaults(self, name: str) -> dict[str, Any]:
        """Return the options of a part that have a default of a plain type; a tuple becomes a list."""
        found = {
            key: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            for key, parameter in self.parameters(name).items()
            if key not in self.given and parameter.default is not parameter.empty
        }
        plain = (bool, int, float, str, list, dict, type(None))
        return {key: value for key, value in found.items() if isinstance(value, plain)}

    def check_options(self, name: str, options: Mapping[str, Any]) -> None:
        """Raise InputError if a part has not all of these options."""
        parameters = self.parameters(name)
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
        accepted = [key for key in parameters if key not in self.given]
        for option in options:
            if option not in accepted:
                if not accepted:
                    raise InputError(f"{option}={options[option]}: {self.kind} '{name}' has no options")
                raise unknown(f"option of {self.kind} '{name}'", option, accepted)


def registered(kind: str) -> list[str]:
    """Return the names of a kind that this process has registered so far, sorted."""
    return list(_ALL[kind]) if kind in _ALL else []


def plain(value: Any) -> Any:
    """Return a value as a checkpoint can hold it: nested mappings and sequences as dicts and lists, paths as texts.

    Numbers, texts and arrays of NumPy become those of Python. Other objects are returned as they are.
    """
    if type(value).__module__ == "numpy":  # which is not imported here
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value


def is_plain(value: object) -> bool:
    """Return whether a checkpoint can hold what `plain` returned and be read again without running code."""
    if isinstance(value, (dict, list)):
        return all(map(is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, (bool, int, float, str)) or type(value).__module__ == "torch"
