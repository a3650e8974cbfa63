"""Tables, statistics and figures over finished runs: ``python -m mnist_zoo.report outputs/sweeps/<name>``.

`read_runs` gives the runs as a pandas table, `compare` one row a configuration with intervals over its seeds,
`significance` what of it the test set resolves, `write_report` the whole page.
"""

from mnist_zoo.report.ensembles import vote
from mnist_zoo.report.page import write_report
from mnist_zoo.report.reading import Runs, read_predictions, read_runs
from mnist_zoo.report.tables import compare, significance

__all__ = ["Runs", "compare", "read_predictions", "read_runs", "significance", "vote", "write_report"]
