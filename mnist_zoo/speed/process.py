"""What a process that trains is set to, for speed: nothing here changes what is computed by more than rounding."""

from __future__ import annotations

import ctypes
import os
import platform

import torch


def tune(matmul_precision: str) -> None:
    """Set this process up for training; to be called before torch starts its threads: they inherit the flush.

    Args:
        matmul_precision: of products of float32 matrices, as ``torch.set_float32_matmul_precision`` has it. The last
            job of a sweep in this process may have had another.
    """
    torch.set_float32_matmul_precision(matmul_precision)
    keep_freed_memory()
    flush_subnormals()
    look_for_cuda_once()


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next batch instead of handing it back to the system after each.

    Activations are otherwise mapped and zeroed anew every step. What it gains depends on the batch: `cnn` shows nothing
    at 64 images and most at 512 (`python -m benchmarks levers`). A threshold for mapping would not do: glibc takes none
    above 32 MB, and large batches have larger activations.
    """
    if platform.libc_ver()[0] == "glibc":
        mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**30)


def flush_subnormals() -> None:
    """Let the processor take numbers below the least normal one (1e-38 in float32) for 0.

    An L2 penalty shrinks weights that nothing else moves until they are such numbers, and a processor may need
    many times as long for a product with one. `python -m benchmarks levers` shows it for `cnn_l2` after four epochs.
    """
    torch.set_flush_denormal(True)


def look_for_cuda_once() -> None:
    """Spare the optimizer's steps a search for CUDA where there is none.

    Each step asks whether CUDA is there. Lightning has torch look for it through NVML, so that processes can still be
    forked where there is a device; without a driver that is a failed search for a library each time. torch's other
    way just answers.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
