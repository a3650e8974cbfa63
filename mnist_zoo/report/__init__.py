"""Tables, statistics and plots of finished runs: ``python -m mnist_zoo.report outputs/sweeps/<name>``.

`read_runs` reads runs into a pandas table. `compare` returns one row per configuration with intervals over its seeds.
`significance` tests which differences between configurations are real. `write_report` writes the whole report.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_MODULES = {
    "Runs": "report.reading",
    "compare": "report.tables",
    "group_by_images": "report.testsets",
    "read_predictions": "runs",
    "read_runs": "report.reading",
    "significance": "report.pairs",
    "vote": "report.ensembles",
    "write_report": "report.page",
}
__all__ = [*_MODULES]

if TYPE_CHECKING:
    from mnist_zoo.report.ensembles import vote
    from mnist_zoo.report.page import write_report
    from mnist_zoo.report.pairs import significance
    from mnist_zoo.report.reading import Runs, read_runs
    from mnist_zoo.report.tables import compare
    from mnist_zoo.report.testsets import group_by_images
    from mnist_zoo.runs import read_predictions


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mnist_zoo.report' has no attribute '{name}'")
    return getattr(importlib.import_module(f"mnist_zoo.{_MODULES[name]}"), name)
