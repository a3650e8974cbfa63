"""A cheap answer to the question whether there is a CUDA device, for training on a CPU.

Optimizers ask in each step. Lightning lets torch answer through NVML, so that processes can be forked. Without a driver
each question is then a failed search for a library, and with one a call of the driver until CUDA is used.
"""

from __future__ import annotations

import os

import torch


def apply(on_cpu: bool) -> bool:
    """Let torch ask the CUDA runtime instead, if there is no CUDA device or this process trains on the CPU."""
    if not on_cpu and torch.cuda.is_available():
        return False
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    return True
