"""``evaluation.json`` and ``evaluation.npz``: what the tests of `mnist_zoo.robustness` measured of one network.

Each measurement has a key, made of its test's name and a digest of the settings and weights. The arrays are written
first, under their measurement's key, then the record that names them: after a crash the old record still finds its own.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from filelock import FileLock, Timeout

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, to_json, write_atomically
from mnist_zoo.runs.locks import LOCK_FILE
from mnist_zoo.runs.measured import CURE, check_measurement
from mnist_zoo.runs.reading import DamagedFile, read_record
from mnist_zoo.runs.records import EVALUATION, EVALUATION_ARRAYS_FILE, EVALUATION_FILE

if TYPE_CHECKING:
    import numpy as np

LARGEST = 512 * 1024**2  # bytes of the arrays
PATIENCE = 60  # seconds to wait for another process that writes to the same folder


def measurement_key(test: str, version: int, settings: Mapping[str, Any], weights: str, data: str) -> str:
    """Return the name of a measurement: it is the same if test, settings, weights and data are.

    Args:
        test: name of the test.
        version: of the test.
        settings: as plain values.
        weights: digest of the file with the weights.
        data: fingerprint of the data set.
    """
    text = json.dumps([test, version, settings, weights, data], sort_keys=True)
    return f"{test}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def read_evaluation(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return the measurements in a folder by key; empty if there are none.

    Each has ``test``, ``version``, ``settings``, ``weights`` (SHA-256 of their file), ``data``, ``fingerprint``,
    ``images`` (how many were measured), ``values`` (as `mnist_zoo.runs.measured.VALUES` describes), ``arrays`` (names),
    ``seconds``, ``device``, ``versions``, ``date`` and, unless the file is an old one, ``network`` (its name).

    Raises:
        DamagedFile: if ``evaluation.json`` does not hold what it must.
    """
    record = read_record(folder, EVALUATION)
    measurements: dict[str, dict[str, Any]] = {} if record is None else record["measurements"]
    for key, measurement in measurements.items():
        problem = check_measurement(key, measurement)
        if problem is not None:
            raise DamagedFile(Path(folder) / EVALUATION_FILE, f"{key}: {problem}", CURE)
    return measurements


def read_arrays(folder: str | Path, key: str, names: list[str]) -> dict[str, np.ndarray]:
    """Return the arrays of a measurement by name.

    Raises:
        DamagedFile: if the file is missing, or an array is missing, too large, or neither numbers nor booleans.
    """
    path = Path(folder) / EVALUATION_ARRAYS_FILE
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise DamagedFile(path, "there is no such file, or it is too large", CURE)
        with ZipFile(path) as archive:
            return {name: _array(archive, f"{key}.{name}") for name in names}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError) as error:
        if isinstance(error, DamagedFile):
            raise
        raise DamagedFile(path, f"it cannot be read: {type(error).__name__}", CURE) from error


def add_measurement(
    folder: str | Path, key: str, measurement: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Add a measurement to a folder, over the old one of this key; those of other weights are removed.

    Raises:
        InputError: if `read_evaluation` would refuse it, for example because a value is NaN; or if another process,
            such as a training, holds the folder.
        StorageError: if a file cannot be written.
    """
    import numpy as np  # here: --help and status need not wait for it

    added = {**measurement, "arrays": [*arrays]}
    problem = check_measurement(key, added)
    if problem is not None:
        raise InputError(f"what {measurement['test']} measured cannot be kept: {problem}")
    place = Path(folder)
    with _only_writer(place):
        try:
            old = read_evaluation(place)
        except DamagedFile:
            old = {}
        kept: dict[str, Any] = {}
        contents: dict[str, np.ndarray] = {}
        for other, held in old.items():
            if other == key or held["weights"] != measurement["weights"]:
                continue
            try:
                found = read_arrays(place, other, held["arrays"])
            except DamagedFile:  # its arrays are lost: it is measured again when it is asked for
                continue
            kept[other] = held
            contents |= {f"{other}.{name}": array for name, array in found.items()}
        # The arrays of the old record stay until it is replaced, also those that the new one does not name.
        contents |= {f"{key}.{name}": array for name, array in arrays.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **contents)  # type: ignore[arg-type]  # numpy types ** as allow_pickle: bool
        write_atomically(place / EVALUATION_ARRAYS_FILE, buffer.getvalue())
        record = {"measurements": {**kept, key: added}}
        write_atomically(place / EVALUATION_FILE, to_json(record))


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder within a block."""
    lock = FileLock(folder / LOCK_FILE, timeout=PATIENCE)
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout as error:
        raise InputError(f"{folder} is in use by another process: wait until it ends") from error
    try:
        yield
    finally:
        lock.release()


def _array(archive: ZipFile, name: str) -> np.ndarray:
    """Return an array of numbers or booleans. The header is read before the content."""
    import numpy as np

    about = archive.getinfo(f"{name}.npy")
    if about.compress_type != ZIP_STORED or about.file_size > LARGEST:
        raise ValueError("compressed, or too large")
    content = io.BytesIO(archive.read(about))  # which checks the CRC
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError("another format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != about.file_size - content.tell():
        raise ValueError("another kind or size")
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)
