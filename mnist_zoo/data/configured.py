"""From a composed config to its DataModule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnist_zoo.data.datamodule import MNISTDataModule
from mnist_zoo.plugins import import_plugin


def load_data(cfg: Mapping[str, Any], **changes: Any) -> MNISTDataModule:
    """Import the config's plug-ins and return the DataModule that it describes.

    Args:
        cfg: a composed config, or what a run folder recorded of one. Only ``data`` (with ``name``) is required;
            ``batch_size``, ``seed``, ``augment`` and ``plugins`` are used where they are present and not None.
        **changes: arguments of `MNISTDataModule` that replace those of the config, such as ``root``.

    Raises:
        InputError: as `MNISTDataModule` and `import_plugin` do.
    """
    for plugin in cfg.get("plugins", ()):
        import_plugin(plugin)
    options = {key: value for key, value in cfg["data"].items() if key != "name"}
    options |= {key: cfg[key] for key in ("batch_size", "seed", "augment") if cfg.get(key) is not None}
    return MNISTDataModule(cfg["data"]["name"], **options | changes)
