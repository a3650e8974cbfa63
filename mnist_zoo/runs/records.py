"""The JSON and YAML files of run folders: their names, their fields, and which values each field may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from mnist_zoo.splits import SPLITS

STATUS_FILE, METRICS_FILE, JOB_FILE = "status.json", "metrics.json", "job.json"
CURVES_FILE, PREDICTIONS_FILE, TRACEBACK_FILE = "curves.csv", "predictions.npz", "traceback.txt"
EVALUATION_FILE, EVALUATION_ARRAYS_FILE = "evaluation.json", "evaluation.npz"
ESTIMATOR_FILE = "estimator.skops"  # of a classical model
NETWORK_FOLDER = "network"  # the run of a network whose features a classical model is fitted on
SWEEP_FILE = "sweep.json"  # in the folder of a sweep: the names of its jobs' folders
OVERRIDES_FILE, CONFIG_FILE = ".hydra/overrides.yaml", ".hydra/config.yaml"

CURVE_COLUMNS = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "seconds", "images_per_second")

DEEPEST, MOST = 20, 200_000  # levels of nesting and values in one file; ours have less than a tenth of that
GREATEST = 2**53  # of an integer: a float holds it exactly

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """Return whether a value is a text that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def is_count(value: object) -> bool:
    """Return whether a value is an integer from 0 up to 2**53."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= GREATEST


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= GREATEST
    return isinstance(value, float) and math.isfinite(value)


def is_amount(value: object) -> bool:
    """Return whether a value is a finite number that is not negative."""
    return is_number(value) and value >= 0  # type: ignore[operator]  # a number


def is_fraction(value: object) -> bool:
    """Return whether a value is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1  # type: ignore[operator]  # a number


def is_object(value: object) -> bool:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_job_name(value: object) -> bool:
    """Return whether a value can be the name of a job's folder: one visible name, which stays in its folder."""
    if not is_text(value) or not str(value).isprintable() or value in ("", ".", ".."):
        return False
    return PurePosixPath(str(value)).name == value == PureWindowsPath(str(value)).name


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _job_names(value: object) -> bool:
    return isinstance(value, list) and all(map(is_job_name, value))


def _truth(value: object) -> bool:
    return isinstance(value, bool)


def _state(value: object) -> bool:
    return isinstance(value, str) and value in ("running", "finished", "interrupted", "failed")


def _words(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_text, value.values()))


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


@dataclass(frozen=True)
class Record:
    """What one kind of file holds. Further fields are allowed, so that later versions can add some.

    Attributes:
        name: the name of the file.
        cure: what to do if it is damaged.
        required: the check of each field that must be there.
        optional: the check of each field that may be missing.
        kinds: the fields of each kind of such a file. It must have all fields of the first kind of which it has one, or
            else those of the last kind.
    """

    name: str
    cure: str
    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    kinds: tuple[Mapping[str, Check], ...] = ()

    @property
    def fields(self) -> dict[str, Check]:
        """All fields with their checks."""
        return {**self.required, **self.optional, **{key: check for kind in self.kinds for key, check in kind.items()}}

    def problem(self, record: Mapping[str, object]) -> str | None:
        """Return what is wrong with the content of such a file, or None."""
        own = next((kind for kind in self.kinds if kind.keys() & record.keys()), (self.kinds or ({},))[-1])
        missing = [key for key in (*self.required, *own) if key not in record]
        if missing:
            return f"it lacks {', '.join(missing)}"
        for key, check in self.fields.items():
            if key in record and not check(record[key]):
                return f"{key} is {_shown(record[key])}"
        return None


STATUS = Record(
    STATUS_FILE,
    "continue the run, which writes it again",
    {"state": _state},
    {
        "reason": _or_none(lambda value: isinstance(value, str)),
        "started": is_amount,
        "updated": is_amount,
        "pid": is_count,
        "host": lambda value: isinstance(value, str),
        "epoch": is_count,
        "epochs": is_count,
        "best_epoch": is_count,
        "seconds_per_epoch": is_amount,
        "test_evaluations": is_count,
        "peak_memory_bytes": is_count,
        "identity": is_text,
        "config": is_object,
        "data_fingerprint": is_text,
        "version": is_text,
        "changes": _texts,
        "doing": is_text,  # of a run without epochs
    },
)

_FITTED: dict[str, Check] = {"fitted_bytes": is_count}
_TRAINED: dict[str, Check] = {
    **dict.fromkeys(("num_params", "flops", "batch_size", "epochs", "epochs_run"), is_count),
    **dict.fromkeys(("lr", "train_images_per_second"), is_amount),
    **dict.fromkeys(("augment", "optimizer", "scheduler"), is_object),
}

METRICS = Record(
    METRICS_FILE,
    "delete metrics.json and continue the run, which evaluates it again",
    {
        **dict.fromkeys(("model", "data", "data_fingerprint", "device"), is_text),
        **{f"n_{split}": is_count for split in SPLITS},
        **{f"{split}_acc": is_fraction for split in SPLITS},
        **{f"{split}_loss": is_amount for split in SPLITS},
        "fit_seconds": is_amount,
        "seed": is_number,
        **dict.fromkeys(("model_options", "config"), is_object),
        "versions": _words,
    },
    {
        "images_fingerprint": is_text,
        **{f"{split}_part_acc": is_fraction for split in SPLITS},
        **dict.fromkeys(("best_epoch", "test_evaluations"), is_count),
        **dict.fromkeys(("stopped_early", "converged"), _truth),
        "predict_seconds": is_amount,
        "temperature": _or_none(is_amount),
        "peak_memory_bytes": _or_none(is_count),
        "speed": _texts,
        "date": is_text,
    },
    kinds=(_FITTED, _TRAINED),  # a classical model, and a network
)

EVALUATION = Record(
    EVALUATION_FILE, "delete it, and measure again with python -m mnist_zoo.evaluate", {"measurements": is_object}
)

_AGAIN = "delete the file; the command of the sweep writes it again"
SWEEP = Record(SWEEP_FILE, _AGAIN, {"jobs": _job_names}, {"sweep": _or_none(is_text)})
JOB = Record(JOB_FILE, _AGAIN, {"overrides": _texts, "conf": is_text})


def too_much(content: object) -> str | None:
    """Return what is wrong with what JSON or YAML gave: too deep, too many values, or values of other kinds."""
    count, level = 0, [content]
    for _ in range(DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                if not all(isinstance(key, str) for key in value):
                    return "a key is not a text"
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif not (value is None or isinstance(value, (bool, int, float, str))):
                return f"{_shown(value)} is neither number nor text"
            if len(below) > MOST:
                return "it has too many values"
        count += len(below)
        if count > MOST:
            return "it has too many values"
        if not below:
            return None
        level = below
    return f"it is nested more than {DEEPEST} levels deep"


def _shown(value: object) -> str:
    """Return a value as it can stand in a message."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list with an invalid value" if value else "an empty list"
    if isinstance(value, int) and abs(value) > GREATEST:
        return "too large"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
