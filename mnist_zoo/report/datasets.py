"""The images of a run, for its plots of misclassified images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mnist_zoo.errors import InputError
from mnist_zoo.runs import read_config

if TYPE_CHECKING:
    from mnist_zoo.data import MNISTDataModule


def load_data(run: pd.Series, data_root: str | Path | None = None) -> MNISTDataModule:
    """Return the `MNISTDataModule` of a run, for its images and class names. Nothing is downloaded.

    Args:
        run: a row of `Runs`.
        data_root: see `mnist_zoo.data.recorded.load_recorded`.

    Raises:
        InputError: if the data cannot be loaded, or if the images are not those that the run used.
    """
    from mnist_zoo.data.recorded import load_recorded  # here: it imports Lightning

    data = load_recorded(run["data"], _recorded(run["folder"]), data_root)
    same = data.fingerprint == run["data_fingerprint"]
    if not same or not np.array_equal(data.labels("test").numpy(), run["labels"]):
        raise InputError(
            f"the images of {run['data']} in {data.root} are not those that {run['folder'].name} used: name the folder "
            f"of its images with --data-root DIR"
        )
    return data


def _recorded(folder: Path) -> Mapping[str, Any]:
    """Return ``data`` in a run's config; empty for a run that another program started."""
    recorded = read_config(folder).get("data", {})
    return recorded if isinstance(recorded, dict) else {}
