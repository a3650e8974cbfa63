"""The parts of the benchmark by name, in the order of the page.

A part is a module with a ``TITLE``, ``measure(settings) -> records`` (a list, or an iterator whose records are written
one by one) and ``render(records) -> lines of Markdown``. Some
also have ``draw(records) -> Figure``.
"""

PARTS = (
    "throughput",
    "levers",
    "versions",
    "precision",
    "accuracy",
    "sweeps",
    "start",
    "augment",
    "attacks",
    "corruptions",
    "scaling",
    "recipes",
    "gpu",
)
ON_REQUEST = ("versions",)  # measured only when asked for
SELECTABLE = ("throughput", "levers", "versions", "precision", "gpu")  # whose networks --only selects
