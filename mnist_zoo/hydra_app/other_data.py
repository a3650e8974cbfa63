"""Another data set for a finished run: ``python -m mnist_zoo.evaluate RUN data=NAME``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.overrides import quote_path
from mnist_zoo.settings import check

if TYPE_CHECKING:
    from mnist_zoo.data import MNISTDataModule


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the sources among the words of a command, and the words that choose a data set: ``data=``, ``data.key=``.

    Raises:
        InputError: if there is no source.
    """
    chosen = [word for word in words if word.startswith(("data=", "data.")) and "=" in word and not Path(word).exists()]
    sources = [word for word in words if word not in chosen]
    if not sources:
        raise InputError(f"{chosen[0]} is no network: name a run folder, a sweep, a checkpoint or shipped weights, too")
    return sources, chosen


def loader_of(
    words: Sequence[str], data_root: Path | None = None
) -> Callable[[Mapping[str, Any]], MNISTDataModule] | None:
    """Return the function that loads the data set of these words with given filters; None if there are no words.

    Args:
        words: ``data=NAME`` and further settings of the group ``data``.
        data_root: folder of the data files, where the words do not name one.

    Raises:
        InputError: if the words name no data set, or a setting is invalid.
    """
    if not words:
        return None
    if not any(word.startswith("data=") for word in words):
        raise InputError(f"{words[0]} is a setting of another data set: name that with data=NAME")
    for word in words:
        if word.startswith("data.filters"):
            raise InputError(f"{word}: the images get the filters that the network was trained with: leave it out")
    root = [] if data_root is None else [quote_path(f"data.root={data_root}")]
    # Without a fallback: a test of another data set than the one that was named would say nothing.
    cfg = compose_config([*root, "data.fallback=null", *words])
    check(cfg)

    def load(filters: Mapping[str, Any]) -> MNISTDataModule:
        from mnist_zoo.data import load_data  # here: it imports torch

        return load_data({"data": cfg["data"]}, filters=dict(filters))

    return load
