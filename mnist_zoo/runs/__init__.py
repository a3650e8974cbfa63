"""The run folder, which holds everything about one training: how to write, find, read and compare it.

Imports neither torch nor numpy, so that commands which only read JSON start quickly.
"""

from mnist_zoo.runs.folder import (
    CURVE_COLUMNS,
    SWEEP_FILE,
    FolderInUse,
    RunFolder,
)
from mnist_zoo.runs.reading import find_runs, in_use, read_curves, read_json, read_metrics, read_predictions

__all__ = [
    "CURVE_COLUMNS",
    "SWEEP_FILE",
    "FolderInUse",
    "RunFolder",
    "find_runs",
    "in_use",
    "read_curves",
    "read_json",
    "read_metrics",
    "read_predictions",
]
