"""Pretraining by the command line: its overrides, and the files that it writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_zoo.errors import InputError
from mnist_zoo.files import storage_errors, write_atomically
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.overrides import top_level_key
from mnist_zoo.settings import check
from mnist_zoo.waiting import loading_torch

if TYPE_CHECKING:
    from mnist_zoo.pretraining import Pretrained

# The settings that pretraining uses; all others would do nothing.
USED = ("experiment", "model", "data", "batch_size", "seed", "output_dir", "plugins")


def pretrain_and_write(
    kind: str, overrides: Sequence[str], name: str, force: bool, epochs: int, rate: float, noise: float | None
) -> tuple[Pretrained, Path]:
    """Pretrain an MLP, and write weights, reconstructions and losses to ``<output_dir>/pretrained/<name>.*``.

    Args:
        kind, epochs, rate, noise: see `mnist_zoo.pretraining.pretrain`.
        overrides: of the command line.
        name: of the files.
        force: whether to replace files of this name.

    Returns:
        The result, and the path of the weights.

    Raises:
        InputError: if an override or an argument is invalid, or does nothing here, or the file exists.
        DivergedError: if the reconstruction loss is not finite.
    """
    for word in overrides:
        key = top_level_key(word)
        if key not in USED:
            raise InputError(f"{word}: pretraining does not use {key}, only {', '.join(USED)}")
    if not name or Path(name).name != name:
        raise InputError(f"--name {name}: it must be the name of a file, not a path")
    cfg = compose_config(overrides)
    check(cfg)
    path = Path(cfg["output_dir"], "pretrained", f"{name}.safetensors")
    if path.exists() and not force:
        raise InputError(f"{path} exists: choose another --name, or replace it with --force")
    with loading_torch(f"pretraining of {cfg['model']['name']} on {cfg['data']['name']}"):
        from mnist_zoo.pretraining import pretrain
    found = pretrain(cfg, kind, epochs, rate, noise)
    _write(found, path)
    return found, path


def _write(found: Pretrained, path: Path) -> None:
    """Write the weights to `path`, and beside it the reconstructions as PNG and the losses as CSV."""
    import torch

    from mnist_zoo.plots.images import image_grid
    from mnist_zoo.weights import pack

    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(layer, epoch, loss) for layer, each in enumerate(found.losses, 1) for epoch, loss in enumerate(each, 1)]
    table = "layer,epoch,loss\n" + "".join(f"{layer},{epoch},{loss:.6g}\n" for layer, epoch, loss in rows)
    write_atomically(path.with_suffix(".csv"), table)
    seen = [] if torch.equal(found.images, found.corrupted) else [found.corrupted]
    columns = torch.cat([found.images, *seen, found.reconstructions], dim=2)
    picture = io.BytesIO()
    image_grid(columns.numpy(), [""] * len(columns)).savefig(picture, format="png", dpi=150, bbox_inches="tight")
    write_atomically(path.with_suffix(".png"), picture.getvalue())
    write_atomically(path, pack(found.network.state_dict(), found.description))
