"""The registry of tests: named functions, each with its settings and a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.robustness.images import Images
from mnist_zoo.robustness.subject import Subject

Progress = Callable[[float], None]  # called with the share of a test that is done
Complete = Callable[[Any, Images], Any]  # settings and images to settings


@dataclass(frozen=True)
class Settings:
    """What every test can be told. A test with settings of its own derives a frozen dataclass from it.

    Attributes:
        images: how many images to measure, the first ones of the split; None for all.
        split: ``test``, or ``val`` to choose a recipe without looking at the test split.
        seed: of everything random in the test.

    Raises:
        InputError: if a value is out of range.
    """

    images: int | None = None
    split: str = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images is not None:
            require("images", self.images, 1, whole=True)
        if self.split not in ("test", "val"):
            raise unknown("split", self.split, ("test", "val"))
        require("seed", self.seed, 0, 2**32 - 1, whole=True)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Return the settings with these options; the others have their defaults.

        Raises:
            InputError: unknown option, or a value out of range.
        """
        names = [each.name for each in fields(cls)]
        for name in options:
            if name not in names:
                raise unknown("option", name, names)
        return cls(**{name: _tuple(value) for name, value in options.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, as JSON holds them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Outcome:
    """What a test returns.

    Attributes:
        values: plain values with texts as keys, as JSON holds them. Accuracies are fractions.
        arrays: arrays by name, of numbers or booleans.
    """

    values: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredTest:
    """A test and what is known of it.

    Attributes:
        name: its name, as in ``--on``.
        version: is increased when equal settings no longer give equal values.
        settings: the class of its settings.
        measure: the function ``(subject, images, settings, progress) -> Outcome``.
        summarise: returns one line for the terminal from an outcome's values.
        complete: returns the settings with what the images decide filled in. Those identify a measurement.
    """

    name: str
    version: int
    settings: type[Settings]
    measure: Callable[[Subject, Images, Any, Progress], Outcome]
    summarise: Callable[[Mapping[str, Any]], str]
    complete: Complete


_TESTS: dict[str, RegisteredTest] = {}
Measure = Callable[[Subject, Images, Any, Progress], Outcome]


def register_test(
    name: str,
    summarise: Callable[[Mapping[str, Any]], str],
    settings: type[Settings] = Settings,
    version: int = 1,
    complete: Complete = lambda settings, images: settings,
) -> Callable[[Measure], Measure]:
    """Register a function ``(subject, images, settings, progress) -> Outcome`` as a test.

    Args:
        name: for ``--on``.
        summarise: returns one line for the terminal from an outcome's values.
        settings: the class of its settings.
        version: see `RegisteredTest`.
        complete: see `RegisteredTest`.

    Raises:
        InputError: if the name is already registered.
    """

    def register(measure: Measure) -> Measure:
        if name in _TESTS:
            raise InputError(f"a test named '{name}' is already registered; choose another name")
        _TESTS[name] = RegisteredTest(name, version, settings, measure, summarise, complete)
        return measure

    return register


def list_tests() -> list[str]:
    """Return the names of all tests, in the order in which they were registered."""
    return [*_TESTS]


def chosen_tests(
    on: Sequence[str], options: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]
) -> list[tuple[RegisteredTest, Settings]]:
    """Return tests with their settings.

    Args:
        on: names of tests.
        options: options of single tests, by the name of the test.
        common: options of all of them, such as ``images``.

    Raises:
        InputError: no or an unknown test, options of a test that is not chosen, or an invalid option.
    """
    if not on:
        raise InputError(f"no test is named: choose some of {', '.join(_TESTS)}")
    for name in (*on, *options):
        if name not in _TESTS:
            raise unknown("test", name, _TESTS)
    for name in options:
        if name not in on:
            raise InputError(f"there are options of {name}, which is not among the tests {', '.join(on)}: add it")
    chosen = []
    for name in dict.fromkeys(on):
        try:
            chosen.append((_TESTS[name], _TESTS[name].settings.of({**common, **options.get(name, {})})))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    return chosen


def require(name: str, value: object, low: float, high: float = float("inf"), *, whole: bool = False) -> None:
    """Raise InputError unless a value is a number (an integer if `whole`) from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise InputError(f"{name}={value}: it must be {'an integer' if whole else 'a number'}")
    if not low <= value <= high:  # false for NaN
        bounds = f"{low:g} or more" if high == float("inf") else f"from {low:g} to {high:g}"
        raise InputError(f"{name}={value}: it must be {bounds}")


def require_list(name: str, values: object, low: float, high: float) -> None:
    """Raise InputError unless `values` is a tuple of at least one number from `low` to `high`, in ascending order."""
    if not isinstance(values, tuple) or not values:
        raise InputError(f"{name}={values}: it must be a list of numbers, such as [0.1,0.2]")
    for value in values:
        require(name, value, low, high)
    if list(values) != sorted(set(values)):
        raise InputError(f"{name}={list(values)}: the numbers must ascend")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
