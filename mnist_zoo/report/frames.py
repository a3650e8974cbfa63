"""Finished runs as a pandas DataFrame for notebooks and papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mnist_zoo.report.reading import augment_name, read_runs

PLAIN = (
    *("model", "data", "seed", "lr", "batch_size", "epochs", "epochs_run", "best_epoch", "n_train", "n_val", "n_test"),
    *("train_acc", "val_acc", "test_acc", "train_loss", "val_loss", "test_loss", "ece", "brier"),
    *("fit_seconds", "train_images_per_second", "num_params", "flops", "fitted_bytes", "device", "date"),
)


def load_runs(*folders: str | Path) -> pd.DataFrame:
    """Return the finished runs at and below some folders, one row for each run.

    Damaged run folders are named on stderr and left out. Of runs with equal settings and seed the first counts, also
    if they ran on other devices or with other versions. Columns:

    - ``folder`` (text), ``label`` (the shortest name of the configuration among these runs), ``experiment`` (or None),
      ``overrides`` (the words of the command line, with a space between them).
    - ``model``, ``data``, ``seed``, ``lr``, ``batch_size``, ``epochs`` (asked for), ``epochs_run``, ``best_epoch``
      (counted from 1), ``augment``, ``optimizer``, ``scheduler``, ``loss`` (names).
    - ``n_train``, ``n_val``, ``n_test``: number of images of each split.
    - ``train_acc``, ``val_acc``, ``test_acc`` (fractions), ``train_loss``, ``val_loss``, ``test_loss`` (cross-entropy
      in nats), of the best epoch by validation. ``ece`` (expected calibration error, a fraction) and ``brier`` (0 to 2)
      of the test images.
    - ``fit_seconds``, ``train_images_per_second``, ``num_params``, ``flops`` (of one image), ``fitted_bytes`` (the size
      of a classical model), ``device``, ``date``.

    What a model does not have, such as the learning rate of a classical one, is NaN or None.

    Args:
        *folders: sweeps, searches or run folders.

    Raises:
        InputError: if a folder does not exist, or there is no finished run.

    Example:
        >>> from mnist_zoo import load_runs
        >>> runs = load_runs("outputs/sweeps/seeds")  # doctest: +SKIP
        >>> runs.groupby("model")["val_acc"].agg(["mean", "std", "count"])  # doctest: +SKIP
    """
    table = read_runs(folders).table
    found: dict[str, Any] = {
        "folder": [str(folder) for folder in table["folder"]],
        "label": table["label"],
        "experiment": table["experiment"],
        "overrides": [" ".join(words) for words in table["overrides"]],
    }
    found |= {name: table.get(name) for name in PLAIN}
    found["augment"] = [augment_name(augment) if augment else None for augment in table["augment"]]
    for name in ("optimizer", "scheduler"):
        found[name] = [choice.get("name") for choice in table[name]]
    trained = [bool(choice) for choice in table["optimizer"]]  # and not fitted, as a classical model is
    losses = [config.get("loss", {}).get("name", "cross_entropy") for config in table["config"]]
    found["loss"] = [loss if one else None for loss, one in zip(losses, trained, strict=True)]
    return pd.DataFrame(found)
