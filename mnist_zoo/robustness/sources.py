"""Where networks come from on the command line: run folders, sweeps, checkpoints, files and shipped names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_zoo.data import MNISTDataModule
from mnist_zoo.data.recorded import load_recorded
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.images import Images
from mnist_zoo.runs import find_runs, read_metrics, read_result
from mnist_zoo.weights import Description, Weights, list_pretrained, read_archive, read_card

LoadOther = Callable[[Mapping[str, Any]], MNISTDataModule]
PARTS_OF = {"mnist5k": ("mnist", "qmnist", "double_mnist")}  # data sets of training images of others
MOST_NAMES = 12


def find_sources(given: Iterable[str]) -> list[tuple[str, Path | None]]:
    """Return each source with its run folder, or None for a file or a shipped name; a sweep gives all of its runs.

    A source that is named in several ways counts once.

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
    unique: dict[str | Path, tuple[str, Path | None]] = {}
    for source, folder in found:
        unique.setdefault(source if source in list_pretrained() else Path(source).resolve(), (source, folder))
    return [*unique.values()]


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
        other: loads another data set with given filters, for all networks; None: each gets the images of its training.
    """

    def __init__(self, data_root: Path | None, other: LoadOther | None = None):
        self._data_root, self._other = data_root, other
        self._key: object = None
        self._images: Images | None = None

    def of(self, source: str, folder: Path | None, weights: Weights) -> Images:
        """Return the images that a network was trained and tested on, or those of the other data set.

        Raises:
            InputError: if they are unknown, cannot be loaded, or are other ones than those of its training; or if the
                other data set does not fit the network.
        """
        if self._other is not None:
            return self._of_other(self._other, source, weights.description)
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

    def _of_other(self, load: LoadOther, source: str, known: Description) -> Images:
        key = repr(sorted(known.filters.items()))
        if self._images is None or key != self._key:
            self._images, self._key = Images.of(load(known.filters)), key
        _require_fit(source, known, self._images)
        return self._images


def _require_fit(source: str, known: Description, images: Images) -> None:
    """Raise InputError unless a network knows the classes and the size of images, and was not trained on them."""
    size, wanted = ("x".join(map(str, shape)) for shape in (images.test.shape[1:], known.image_shape))
    if size != wanted:
        raise InputError(f"{source} takes images of {wanted} (channels x height x width), and data={images.name} has "
            f"{size}: choose a data set of its size")  # fmt: skip
    if images.class_names != known.class_names:
        raise InputError(f"{source} knows the classes {_some(known.class_names)}, and data={images.name} has "
            f"{_some(images.class_names)}: choose a data set of the same classes")  # fmt: skip
    if images.name in PARTS_OF and known.data in PARTS_OF[images.name]:
        raise InputError(f"{source} was trained on the images of data={images.name}, a part of {known.data}: choose "
            f"another data set")  # fmt: skip


def _some(names: Sequence[str]) -> str:
    """Return names as a list that is not too long for a message."""
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


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
