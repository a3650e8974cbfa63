"""The test images of MNIST whose labels are known to be wrong."""

from __future__ import annotations

# Northcutt, Athalye and Mueller 2021, "Pervasive label errors in test sets": found by confident learning, confirmed by
# people. Numbers of images, counted from 0.
WRONG_TEST_LABELS = (
    *(947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729),
)  # fmt: skip
