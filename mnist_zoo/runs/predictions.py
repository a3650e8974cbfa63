"""Read the predictions of a run, in bounded memory."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from mnist_zoo.runs.reading import DamagedFile
from mnist_zoo.runs.records import METRICS, PREDICTIONS_FILE

if TYPE_CHECKING:
    import numpy as np

SPLIT_ARRAYS = (("logits", "labels"), ("val_logits", "val_labels"))
LARGEST = 512 * 1024**2  # bytes of the file


def read_predictions(folder: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of ``predictions.npz``.

    Returns:
        ``logits`` (float32, shape ``(N, classes)``) and ``labels`` (integers from 0 to ``classes - 1``, shape ``(N,)``)
        of the test split, ``val_logits`` and ``val_labels`` of the validation split. Logits may be -inf, which is a
        probability of 0. NaN and +inf have no probability: no finished run has them, because its losses are finite.

    Raises:
        DamagedFile: if the file is missing, or the arrays are not as described.
    """
    path = Path(folder) / PREDICTIONS_FILE
    try:
        if not path.is_file():
            raise _Invalid("there is no such file")
        size = path.stat().st_size
        if size > LARGEST:
            raise _Invalid(f"it is larger than {LARGEST // 1024**2} MB")
        with ZipFile(path) as archive:
            arrays = {key: _array(archive, key, size) for pair in SPLIT_ARRAYS for key in pair}
        for logits, labels in SPLIT_ARRAYS:
            _check_split(arrays, logits, labels)
    except _Invalid as error:
        raise DamagedFile(path, str(error), METRICS.cure) from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError) as error:
        raise DamagedFile(path, f"it cannot be read: {type(error).__name__}", METRICS.cure) from error
    return arrays


class _Invalid(Exception):
    """The predictions are not as `read_predictions` describes them; the message says why."""


def _array(archive: ZipFile, key: str, available: int) -> np.ndarray:
    """Return an array of the archive, which is `available` bytes large. The header is read before the content."""
    import numpy as np  # here: --help and status need not wait for it

    try:
        about = archive.getinfo(f"{key}.npy")
    except KeyError as error:
        raise _Invalid(f"it lacks {key}") from error
    if about.compress_type != ZIP_STORED or about.file_size > available:
        raise _Invalid(f"{key} is compressed, or larger than the file")
    content = io.BytesIO(archive.read(about))  # which checks the CRC
    version = np.lib.format.read_magic(content)
    if version != (1, 0):
        raise _Invalid(f"{key} has another format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    kinds, dimensions = ("f", 2) if key.endswith("logits") else ("iu", 1)
    if dtype.kind not in kinds or len(shape) != dimensions or min(shape) < 1:
        raise _Invalid(f"{key} has dtype {dtype} and shape {shape}")
    if math.prod(shape) * dtype.itemsize != about.file_size - content.tell():
        raise _Invalid(f"{key} has another size than its shape {shape}")
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)


def _check_split(arrays: dict[str, np.ndarray], logits_key: str, labels_key: str) -> None:
    """Raise `_Invalid` if the logits and labels of a split do not fit together."""
    import numpy as np

    logits, labels = arrays[logits_key], arrays[labels_key]
    if len(logits) != len(labels):
        raise _Invalid(f"{len(logits)} {logits_key} for {len(labels)} {labels_key}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise _Invalid(f"{labels_key} has a label outside 0 to {logits.shape[1] - 1}")
    if np.isnan(logits).any() or np.isposinf(logits).any():
        raise _Invalid(f"{logits_key} has NaN or infinity")
