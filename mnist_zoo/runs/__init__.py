"""The run folder, which holds everything about one training: how to write, find, read and compare it.

Imports neither torch nor numpy, so that commands which only read JSON start quickly.
"""

from mnist_zoo.runs.evaluations import add_measurement, measurement_key, read_arrays, read_evaluation
from mnist_zoo.runs.folder import FolderInUse, RunFolder
from mnist_zoo.runs.locks import in_use, sweeping, swept
from mnist_zoo.runs.predictions import read_predictions
from mnist_zoo.runs.reading import (
    Damaged,
    DamagedFile,
    DamagedRuns,
    find_measured,
    find_runs,
    read_config,
    read_curves,
    read_job,
    read_metrics,
    read_overrides,
    read_result,
    read_status,
    read_sweep,
)
from mnist_zoo.runs.records import CURVE_COLUMNS, JOB_FILE, SWEEP_FILE

__all__ = [
    "CURVE_COLUMNS",
    "JOB_FILE",
    "SWEEP_FILE",
    "Damaged",
    "DamagedFile",
    "DamagedRuns",
    "FolderInUse",
    "RunFolder",
    "add_measurement",
    "find_measured",
    "find_runs",
    "in_use",
    "measurement_key",
    "read_arrays",
    "read_config",
    "read_curves",
    "read_evaluation",
    "read_job",
    "read_metrics",
    "read_overrides",
    "read_predictions",
    "read_result",
    "read_status",
    "read_sweep",
    "sweeping",
    "swept",
]
