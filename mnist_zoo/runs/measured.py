"""What a measurement in ``evaluation.json`` holds: the checks of its fields, and of the values of each test."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mnist_zoo.runs.records import (
    Check,
    Record,
    is_amount,
    is_count,
    is_fraction,
    is_number,
    is_object,
    is_text,
)

CURE = "measure it again: python -m mnist_zoo.evaluate with --force"


def list_of(check: Check) -> Check:
    """Return the check of a list whose entries pass another check."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def _words(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_text, value.values()))


MEASUREMENT = Record(
    "measurement",
    CURE,
    {
        "test": is_text,
        "version": is_count,
        "settings": is_object,
        "weights": is_text,
        "data": is_text,
        "fingerprint": is_text,
        "images": is_count,
        "values": is_object,
        "arrays": list_of(is_text),
        "seconds": is_amount,
        "device": is_text,
        "versions": _words,
        "date": is_text,
    },
)

# An attack: accuracies at the strengths in `epsilons`, and signs that gradients are masked, as texts.
_ATTACK: dict[str, Check] = {
    "norm": lambda value: value in ("linf", "l2"),
    "epsilons": list_of(is_amount),
    "clean_accuracy": is_fraction,
    "accuracy": list_of(is_fraction),
    "signs": list_of(is_text),
}
# The values that each test must give. Those of other tests are checked for their form only.
VALUES: dict[str, dict[str, Check]] = {
    "clean": {"accuracy": is_fraction, "loss": is_amount},
    "fgsm": _ATTACK,
    "pgd": _ATTACK,
    "pgd_l2": _ATTACK,
    "square": _ATTACK,
    "masking": {"shares": list_of(is_fraction), "accuracy": list_of(is_fraction)},
}
# Lists of these tests that must be equally long.
EQUALLY_LONG = {
    **dict.fromkeys(("fgsm", "pgd", "pgd_l2", "square"), ("epsilons", "accuracy")),
    "masking": ("shares", "accuracy"),
}


def check_measurement(key: str, measurement: object) -> str | None:
    """Return what is wrong with a measurement, or None."""
    if not isinstance(measurement, dict):
        return "it is not a JSON object"
    problem = MEASUREMENT.problem(measurement)
    if problem is not None:
        return problem
    test, values = measurement["test"], measurement["values"]
    problem = Record("values", CURE, VALUES.get(test, {})).problem(values)
    if problem is not None:
        return f"values: {problem}"
    lengths = {len(values[name]) for name in EQUALLY_LONG.get(test, ())}
    if len(lengths) > 1 or lengths == {0}:
        return "values: lists of different lengths, or empty ones"
    return None if key.startswith(f"{test}-") and _plain(values) else "its key or a value is invalid"


def _plain(values: Mapping[str, object]) -> bool:
    """Return whether values are texts, finite numbers, truth values, None, and lists and objects of them."""
    simple: tuple[Callable[[object], bool], ...] = (is_text, is_number)
    waiting: list[object] = [dict(values)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif not (value is None or isinstance(value, bool) or any(check(value) for check in simple)):
            return False
    return True
