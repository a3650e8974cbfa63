"""Tables, statistics and figures over finished runs: ``python -m mnist_zoo.report outputs/sweeps/<name>``.

`read_runs` gives the runs as a pandas table, `compare` one row a configuration with intervals over its seeds,
`significance` what of it the test set resolves, `write_report` the whole page.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Runs": "reading",
    "compare": "tables",
    "group_by_images": "testsets",
    "read_predictions": "reading",
    "read_runs": "reading",
    "significance": "tables",
    "vote": "ensembles",
    "write_report": "page",
}
__all__ = [*_HOMES]

if TYPE_CHECKING:
    from mnist_zoo.report.ensembles import vote
    from mnist_zoo.report.page import write_report
    from mnist_zoo.report.reading import Runs, read_runs
    from mnist_zoo.report.tables import compare, significance
    from mnist_zoo.report.testsets import group_by_images
    from mnist_zoo.runs import read_predictions


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'mnist_zoo.report' has no attribute '{name}'")
    return getattr(importlib.import_module(f"mnist_zoo.report.{_HOMES[name]}"), name)
