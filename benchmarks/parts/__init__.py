"""The parts of the benchmark, by name, in the order of the report.

A part has a ``TITLE``, ``measure(settings) -> records``, ``render(records) -> lines of Markdown``, and, where a picture
says more, ``draw(records) -> Figure``.
"""

NAMES = ("throughput", "levers", "precision", "accuracy", "sweeps", "start", "augment", "scaling", "gpu")
