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
    {"network": is_text},
)

# An attack: accuracies at the strengths in `epsilons`, and signs that gradients are masked, as texts.
_ATTACK: dict[str, Check] = {
    "norm": lambda value: value in ("linf", "l2"),
    "epsilons": list_of(is_amount),
    "clean_accuracy": is_fraction,
    "accuracy": list_of(is_fraction),
    "signs": list_of(is_text),
}
# Calibration: scores and bins of the probabilities as they are, and with a temperature.
_PROBABILITIES = Record(
    "probabilities",
    CURE,
    {
        **dict.fromkeys(("nll", "brier"), is_amount),
        **dict.fromkeys(("ece", "perfect_ece"), is_fraction),
        **dict.fromkeys(("confidence", "accuracy"), list_of(is_fraction)),
        "counts": list_of(is_count),
    },
)


def _probabilities(value: object) -> bool:
    if not isinstance(value, dict) or _PROBABILITIES.problem(value) is not None:
        return False
    return len(value["confidence"]) == len(value["accuracy"]) == len(value["counts"]) > 0


_SEPARATION = Record("separation", CURE, dict.fromkeys(("auroc", "fpr95"), is_fraction))


def _separation(value: object) -> bool:
    """Return whether a value holds AUROC and false positive rate of some scores by name."""
    pairs = value.values() if isinstance(value, dict) else [None]
    return all(isinstance(pair, dict) and _SEPARATION.problem(pair) is None for pair in pairs)


def _separations(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_separation, value.values()))


# The values that each test must give. Those of other tests are checked for their form only.
VALUES: dict[str, dict[str, Check]] = {
    "clean": {"accuracy": is_fraction, "loss": is_amount},
    "fgsm": _ATTACK,
    "pgd": _ATTACK,
    "pgd_l2": _ATTACK,
    "square": _ATTACK,
    "corruptions": {
        "names": list_of(is_text),
        "accuracy": list_of(is_fraction),
        **dict.fromkeys(("mean", "clean"), is_fraction),
    },
    "ood": {"sets": _separations, "mean": _separation, "images": is_object},
    "calibration": {
        "temperature": is_amount,
        **dict.fromkeys(("plain", "scaled"), _probabilities),
        **dict.fromkeys(("coverage", "accuracy"), list_of(is_fraction)),
        "area": is_fraction,
    },
    "masking": {"shares": list_of(is_fraction), "accuracy": list_of(is_fraction)},
}
# Lists of these tests that must be equally long.
EQUALLY_LONG = {
    **dict.fromkeys(("fgsm", "pgd", "pgd_l2", "square"), ("epsilons", "accuracy")),
    "masking": ("shares", "accuracy"),
    "corruptions": ("names", "accuracy"),
    "calibration": ("coverage", "accuracy"),
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
