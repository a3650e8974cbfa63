"""The run folder: what one training leaves behind, how it is written, identified, found and read.

Imports neither torch nor Lightning, so that commands which only read answer at once.
"""

from mnist_zoo.runs.folder import CURVE_COLUMNS, SPLITS, FolderInUse, RunFolder, to_json, write_atomically
from mnist_zoo.runs.reading import find_runs, in_use, read_curves, read_json, read_metrics, read_predictions

__all__ = [
    "CURVE_COLUMNS",
    "SPLITS",
    "FolderInUse",
    "RunFolder",
    "find_runs",
    "in_use",
    "read_curves",
    "read_json",
    "read_metrics",
    "read_predictions",
    "to_json",
    "write_atomically",
]
