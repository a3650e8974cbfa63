"""A cheap answer to the question whether there is a CUDA device, on machines without one.

Optimizers ask in each step. Lightning lets torch answer through NVML, so that processes can be forked. Without a driver
each question is then a failed search for a library.
"""

from __future__ import annotations

import os

import torch


def apply() -> bool:
    """Let torch ask the CUDA runtime instead, if there is no CUDA device."""
    if torch.cuda.is_available():
        return False
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    return True
