"""The images of a finished run, from what its folder or checkpoint recorded of them.

A run folder may come from anybody. What it says of its data is a name and how the images were split; it cannot choose
which files are opened, which modules are imported, or whether something is downloaded: users do that, with
``--data-root`` and ``--plugin``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Any

from mnist_zoo.data.datamodule import MNISTDataModule
from mnist_zoo.data.filters import MOST_BLUR
from mnist_zoo.data.offline import no_downloads
from mnist_zoo.data.sources import list_datasets
from mnist_zoo.errors import InputError, unknown

ROOT = "data"  # of the data files, as in training
PATHS = ("folder", "npz")  # data sets whose root is a path of the user's own
GREATEST = 10_000_000  # of a number in a config
MOST_SEED = 2**32 - 1
WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")  # a text that cannot name a file of another folder
# Keys of ``data`` that say how the images of a data set are split and scaled. All others are options of the data set.
COMMON: dict[str, type | tuple[type, ...]] = {
    "val_size": (int, float),
    "split_seed": int,
    "train_fraction": (int, float),
    "folds": (int, NoneType),
    "fold": (int, NoneType),
    "epoch_images": (int, NoneType),
    "normalize": bool,
    "filters": dict,
}
LEFT_OUT = ("name", "root", "fallback")


def load_recorded(name: str, recorded: Mapping[str, Any], data_root: str | Path | None = None) -> MNISTDataModule:
    """Return the `MNISTDataModule` of a run, set up. Nothing is downloaded.

    Args:
        name: the data set that the run used.
        recorded: ``data`` of the run's config: name, split and options.
        data_root: folder of the data files. Without it, only data sets in the library's own format are read, from
            ``data`` in the current folder, as in training.

    Raises:
        InputError: if the data cannot be loaded. The images may still be other ones than those of the run: compare
            fingerprints.
    """
    if name not in list_datasets():
        raise InputError(f"{unknown('data set', name, list_datasets())}; name its module with --plugin MODULE")
    if name in PATHS and data_root is None:
        raise InputError(f"a run folder does not choose files: name the images of data={name} with --data-root PATH")
    settings = {key: _simple(f"data.{key}", recorded[key], kind) for key, kind in COMMON.items() if key in recorded}
    if recorded.get("name", name) == name:  # else the run used its fallback, which has no options
        options = {key: value for key, value in recorded.items() if key not in (*COMMON, *LEFT_OUT)}
        settings |= {key: _option(f"data.{key}", value, data_root) for key, value in options.items()}
    root = Path(ROOT if data_root is None else data_root)
    with no_downloads():
        try:
            data = MNISTDataModule(name, root=str(root), **settings)
            data.setup()
        except (InputError, TypeError, ValueError, OverflowError) as error:
            elsewhere = "" if data_root is not None else " (if the files are elsewhere: --data-root DIR)"
            raise InputError(f"{error}{elsewhere}") from error
    return data


def _simple(key: str, value: object, kind: type | tuple[type, ...] = object) -> Any:
    """Return a setting that is a number, a truth value, a text without path, or a list or dict of such settings."""
    if not isinstance(value, kind):
        raise InputError(f"{key}={value} in the run's config cannot be used here")
    if isinstance(value, dict):
        return {name: _simple(f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, list):
        return [_simple(key, item) for item in value]
    greatest = MOST_SEED if key == "data.split_seed" else GREATEST
    number = isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= greatest
    if key == "data.filters.blur" and not (number and value <= MOST_BLUR):  # type: ignore[operator]
        raise InputError(f"{key}={value} in the run's config: from 0 to {MOST_BLUR} is expected")
    if value is None or number or (isinstance(value, str) and WORD.fullmatch(value)):
        return value
    raise InputError(f"{key}={value} in the run's config cannot be used here")


def _option(key: str, value: object, data_root: str | Path | None) -> Any:
    """Return an option of a data set. A file or folder is looked for by its name alone, in `data_root`."""
    if not isinstance(value, str) or WORD.fullmatch(value):
        return _simple(key, value)
    if data_root is None:
        raise InputError(f"{key}={value}: a run folder does not choose files; name their folder with --data-root DIR")
    return str(Path(data_root) / (PurePosixPath(value.replace("\\", "/")).name or "."))
