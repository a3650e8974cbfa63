"""The file of a fitted estimator, which runs no code when it is read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

from mnist_zoo.errors import InputError, install_command
from mnist_zoo.files import write_atomically
from mnist_zoo.runs.records import ESTIMATOR_FILE

# The types beyond those that skops trusts itself, of which our estimators consist.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree")
INSTALL = "classical"  # the extra with skops


def save_estimator(estimator: Any, folder: Path) -> bool:
    """Write ``estimator.skops`` into a run folder; return whether that was possible: skops may not be installed.

    Raises:
        StorageError: if the file cannot be written.
    """
    try:
        from skops.io import dumps
    except ImportError:
        return False
    write_atomically(folder / ESTIMATOR_FILE, dumps(estimator, compression=ZIP_DEFLATED, compresslevel=1))
    return True


def load_estimator(folder: str | Path) -> Any:
    """Return the fitted estimator of a run folder. Code in the file is not executed.

    Its input is float32 ``(N, D)``, as the run scaled it: with ``data.normalize=true`` ``(brightness - mean) / std`` of
    the training images (`MNISTDataModule` has both), and the pixels of all channels one after the other.

    Raises:
        InputError: if there is no such file, it is damaged, it holds other types than ours, or skops is not installed.

    Example:
        >>> from mnist_zoo.classical import load_estimator
        >>> estimator = load_estimator("outputs/runs/<folder>")  # doctest: +SKIP
        >>> estimator.predict(pixels)  # doctest: +SKIP
    """
    path = Path(folder) / ESTIMATOR_FILE
    try:
        from skops.io import load
        from skops.io.exceptions import UntrustedTypesFoundException
    except ImportError as error:
        raise InputError(f"{path} is read with skops: {install_command(INSTALL)}") from error
    if not path.is_file():
        raise InputError(f"there is no file {path}: it is written with skops, {install_command(INSTALL)}")
    try:
        return load(path, trusted=[*TRUSTED])
    except UntrustedTypesFoundException as error:
        raise InputError(f"{path} holds types that are not of our estimators: it is not loaded") from error
    except Exception as error:  # whatever a damaged archive lets skops raise
        raise InputError(f"{path} is damaged ({type(error).__name__}): run the model again") from error


class _Counter:
    """A file that counts the bytes written to it."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        self.count += size
        return size


def fitted_bytes(estimator: Any) -> int:
    """Return the size of a fitted estimator: the bytes of its arrays and settings, without compression.

    Nothing is written: the bytes that Python's serialisation would take are counted.
    """
    counter = _Counter()
    pickle.Pickler(counter, protocol=5).dump(estimator)
    return counter.count
