"""Where networks come from on the command line: run folders, sweeps, checkpoints, files and shipped names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mnist_zoo.data.recorded import load_recorded
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images
from mnist_zoo.runs import find_runs, read_metrics, read_result
from mnist_zoo.weights import Weights, list_pretrained, read_archive, read_card


def find_sources(given: Iterable[str]) -> list[tuple[str, Path | None]]:
    """Return each source with its run folder, or None for a file or a shipped name; a sweep gives all of its runs.

    Raises:
        InputError: if a folder holds no run.
    """
    found: list[tuple[str, Path | None]] = []
    for source in given:
        if source in list_pretrained() or not Path(source).is_dir():
            found.append((source, None))
            continue
        runs = [(str(folder), folder) for folder in find_runs([source])]
        if not runs:
            raise InputError(f"{source} holds no run: name a run folder, a sweep, a checkpoint or a shipped network")
        found += runs
    return list(dict.fromkeys(found))


def require_finished(folder: Path) -> None:
    """Raise InputError unless a folder holds a finished run with its checkpoint."""
    if read_result(folder) is None:
        raise InputError(f"{folder} is not finished: continue it with resume={folder}, then measure it")
    if not (folder / "checkpoints" / "best.ckpt").is_file():
        raise InputError(
            f"{folder} has no checkpoints/best.ckpt: without its weights it cannot be measured (a classical model has "
            f"none)"
        )


class ImageCache:
    """Loads the images of networks; those that the next network shares with the last one are loaded once.

    Args:
        data_root: folder of the data files; None: ``data`` in the current folder.
    """

    def __init__(self, data_root: Path | None):
        self._data_root = data_root
        self._key: object = None
        self._images: Images | None = None

    def of(self, source: str, folder: Path | None, weights: Weights) -> Images:
        """Return the images that a network was trained and tested on.

        Raises:
            InputError: if they are unknown, cannot be loaded, or are other ones than those of its training.
        """
        recorded, fingerprint = _recorded(source, folder, weights)
        name = weights.description.data
        if name is None:
            raise InputError(f"{weights.path} does not say which images it was trained on (no MNISTDataModule)")
        key = (name, repr(sorted(recorded.items())))
        if self._images is None or key != self._key:
            data = load_recorded(name, recorded, self._data_root)
            self._images, self._key = Images.of(data), key
        if fingerprint is not None and self._images.fingerprint != fingerprint:
            raise InputError(
                f"the images of {name} in {self._images.root} are not those that {source} was trained on: name the "
                f"folder of its images with --data-root DIR"
            )
        return self._images


def _recorded(source: str, folder: Path | None, weights: Weights) -> tuple[dict[str, Any], str | None]:
    """Return what is recorded of the data of a network, as `load_recorded` takes it, and their fingerprint."""
    if source in list_pretrained():
        return {}, read_card(source).get("data_fingerprint")
    if weights.path.suffix == ".safetensors":
        return {"filters": weights.description.filters}, None
    saved = read_archive(weights.path)
    recorded = dict(saved.get("datamodule_hyper_parameters", {}))
    recorded["name"] = recorded.pop("data", None)
    left_out = ("batch_size", "seed", "augment")
    recorded = {key: value for key, value in recorded.items() if key not in left_out}
    if folder is not None:
        metrics = read_metrics(folder)
        return recorded, None if metrics is None else metrics["data_fingerprint"]
    origin: Mapping[str, Any] = saved.get("callbacks", {}).get("Record", {}).get("origin") or {}
    return recorded, origin.get("data_fingerprint")
