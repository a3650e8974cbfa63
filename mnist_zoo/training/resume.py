"""Resuming a run: which checkpoint, and what has to be adapted in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.internals import agree_on_steps, loader_state
from mnist_zoo.runs import DamagedFile, RunFolder, read_result, read_status
from mnist_zoo.runs.identity import ORIGIN, differences, origin
from mnist_zoo.runs.records import STATUS_FILE
from mnist_zoo.speed.several_steps import BatchLists
from mnist_zoo.weights import read_archive

VERSION = "mnist_zoo"  # the key of the version among the differences
PLANNED = ("cosine", "warmup_cosine", "onecycle")  # schedules that divide all epochs: with more, the first ones differ
IMAGES_PER_LIST = 2048  # of version 0.1.0


def require_no_run(folder: RunFolder) -> None:
    """Raise InputError if a folder holds a run, which a new one would replace."""
    if (folder.path / STATUS_FILE).exists():
        place = folder.path
        raise InputError(f"{place} already holds a run: continue it with resume={place}, or choose another folder")


def finished_metrics(folder: RunFolder) -> dict[str, Any] | None:
    """Return the metrics of a finished run, or None. A run whose metrics are damaged is evaluated again."""
    try:
        return read_result(folder.path)
    except DamagedFile as error:
        warnings.warn(f"{error.path} is damaged ({error.what}): the run is evaluated again", stacklevel=2)
        folder.reopen()
        return None


def complete(folder: RunFolder) -> None:
    """Write the status of a finished run if a process was killed before it did, or if the file is damaged."""
    try:
        status = read_status(folder.path) or {}
    except DamagedFile:
        status = {}
    if status.get("state") != "finished":
        folder.update(state="finished", **({} if "config" in status else recorded_origin(folder)))


def continue_from(cfg: Mapping[str, Any], data_fingerprint: str, folder: RunFolder) -> tuple[Path | None, list[str]]:
    """Return the checkpoint from which a run continues, and what has changed since it was made.

    A run continues as what it is: with the same settings (except for those that cannot change a result, and for more
    ``epochs``, unless its schedule is one of `PLANNED`), images and version of this library, as in a sweep. If they
    differ, ``cfg["on_change"]`` decides: ``keep`` continues with another version, but never with other settings or
    images, because images of the test split may then be trained on; ``rerun`` starts again.

    Args:
        cfg: a composed config.
        data_fingerprint: of the images that the config gives.
        folder: the run folder.

    Returns:
        The newest readable checkpoint, or None if the run must start from the beginning. The differences, as
        ``key: old -> new``: those that were accepted, or, without a checkpoint, those because of which the run starts
        again in a folder that has to be cleared.

    Raises:
        InputError: if something differs, or the run has more epochs already.
    """
    path, saved = newest_checkpoint(folder)
    if path is None or saved is None:
        return None, []
    if saved["epoch"] >= cfg["epochs"]:
        raise InputError(f"{folder.path} has trained more than epochs={cfg['epochs']} already: ask for more epochs")
    then, now = _origin_of(saved, folder), origin(cfg, data_fingerprint)
    if then is None:
        model = saved["hyper_parameters"]["model"] if cfg["model"].get("pretrained") is None else cfg["model"]
        then = now | {"config": now["config"] | {"model": model}, "version": "unknown"}
    changes = differences(_as_settings(then), _as_settings(now))
    keep = all(change.startswith(f"{VERSION}: ") for change in changes)
    if not changes or (keep and cfg["on_change"] == "keep"):
        return path, changes
    if cfg["on_change"] == "rerun":
        return None, changes
    shown = "; ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")
    choices = "on_change=keep (continue it all the same), " if keep else ""
    raise InputError(
        f"{folder.path} was made with other settings ({shown}): choose {choices}on_change=rerun (start it again), or "
        f"a new run"
    )


def recorded_origin(folder: RunFolder) -> dict[str, Any]:
    """Return what the run of a folder was made with, as its newest checkpoint has it; empty if it does not."""
    _, saved = newest_checkpoint(folder)
    return {} if saved is None else _origin_of(saved, folder) or {}


def _as_settings(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run is made with as settings that can be compared.

    Epochs count only if its schedule is planned for their number. Otherwise it may have more.
    """
    config = {key: value for key, value in made_with["config"].items() if key != "epochs"}
    schedule = dict(config.get("scheduler") or {}).get("name")
    if schedule in PLANNED:
        config[f"epochs of scheduler={schedule}"] = made_with["config"].get("epochs")
    return config | {"data fingerprint": made_with["data_fingerprint"], VERSION: made_with["version"]}


def _origin_of(saved: Mapping[str, Any], folder: RunFolder) -> dict[str, Any] | None:
    """Return what the run of a checkpoint was made with; None if that is lost.

    Checkpoints of versions up to 0.2.0 do not hold it; their ``status.json`` does.
    """
    held = saved["callbacks"].get("Record", {}).get("origin")
    if held:
        return held
    try:
        status = read_status(folder.path) or {}
    except DamagedFile:
        return None
    return {key: status[key] for key in ORIGIN} if all(key in status for key in ORIGIN) else None


def newest_checkpoint(folder: RunFolder) -> tuple[Path | None, dict[str, Any] | None]:
    """Return the newest readable checkpoint of a run folder, if any, with its content."""
    best, last = folder.best_checkpoint, folder.last_checkpoint
    # If the last epoch is the best, both names are one file. That epoch is then repeated from previous.ckpt.
    one_file = best.exists() and last.exists() and best.samefile(last)
    if best.exists() and not one_file and _read(best) is None:
        warnings.warn(f"{best} cannot be read: the best epoch so far is lost; the run starts again", stacklevel=2)
        return None, None
    for path in (last, folder.previous_checkpoint):
        if not path.exists():
            continue
        saved = _read(path)
        if saved is None:
            warnings.warn(f"{path} cannot be read; trying the checkpoint before it", stacklevel=2)
            continue
        return path, saved
    return None, None


def _read(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None for a damaged file or one that another program wrote."""
    try:
        saved = read_archive(path)
    except InputError:
        return None
    return saved if {"epoch", "callbacks", "hyper_parameters"} <= saved.keys() else None


class Resume(Callback):
    """Adapts a checkpoint to the run that resumes it.

    A run may be resumed with other optimisations (``speed=...``), and checkpoints of version 0.1.0 hold the position
    within the epoch and the epoch's metrics elsewhere.
    """

    def __init__(self) -> None:
        self._items = 0  # batches, or lists of batches, of the epoch within which the checkpoint was saved
        self._started = False

    @contextmanager
    def restoring(self, checkpoint: Path | None) -> Iterator[None]:
        """Within a block that trains, raise InputError if the content of the checkpoint cannot be restored."""
        try:
            yield
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            if checkpoint is None or self._started or isinstance(error, ZooError):
                raise
            reason = (str(error).strip().splitlines() or [""])[0]
            raise InputError(
                f"{checkpoint} cannot be restored ({type(error).__name__}: {reason}): delete it to continue from the "
                f"checkpoint before it, or start a new run"
            ) from error

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        agree_on_steps(checkpoint)
        position = checkpoint["MNISTDataModule"].get("position") or _old_position(trainer, checkpoint)
        if position["batch"]:
            self._items = position["of"]
        if "epoch_outputs" in checkpoint:  # of 0.1.0: logits and labels of the epoch so far
            assert isinstance(pl_module, LitClassifier)
            pl_module.train_metrics.update(*checkpoint["epoch_outputs"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._items not in (0, trainer.num_training_batches):
            raise InputError(
                f"the checkpoint was saved within an epoch of {self._items} items (batches, or lists of batches), and "
                f"an epoch has {trainer.num_training_batches} here: resume with the devices, callbacks and speed "
                f"setting that the run had, or start a new run"
            )
        self._started = True


def _old_position(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> dict[str, int]:
    """Return the position within the epoch that a checkpoint of 0.1.0 holds, and give it to the DataModule."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # missing from Lightning's annotations
    state = loader_state(checkpoint) or {"position": 0, "batches": 0}
    loader = data.train_dataloader()
    batches = loader.batches if isinstance(loader, BatchLists) else loader
    grouped = state["batches"] != len(batches)
    per_item = max(1, IMAGES_PER_LIST // data.batch_size) if grouped else 1
    position = {"batch": state["position"] * per_item, "of": state["batches"]}
    data.load_state_dict({"position": position})
    return position
