"""Parts of plug-ins as options of the command line: ``model=my_net data=my_set optimizer=my_sgd``."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override

from mnist_zoo.hydra_app.config_dir import CONFIG_DIR
from mnist_zoo.hydra_app.overrides import values
from mnist_zoo.plugins import import_plugin


def offer_plugin_names(overrides: Sequence[Override]) -> None:
    """Import the plug-ins that overrides name, and make what they register options of ``model=``, ``data=`` and so on.

    Launchers send the options to the processes of their jobs. These import the plug-ins before they train.

    Raises:
        InputError: if a plug-in cannot be imported.
    """
    given = [value for override in overrides if override.key_or_group == "plugins" for value in values(override)]
    plugins = [name for names in given if isinstance(names, list) for name in names]
    if not plugins:
        return
    for plugin in plugins:
        import_plugin(plugin)
    from mnist_zoo.data import list_datasets  # here: they import torch
    from mnist_zoo.hydra_app.registries import registries
    from mnist_zoo.models import list_models

    store = ConfigStore.instance()
    for name in _without_file("model", list_models()):
        store.store(group="model", name=name, node={"name": name})
    for name in _without_file("data", list_datasets()):
        node = {"defaults": ["mnist", "_self_"], "name": name, "fallback": None}  # as conf/data/custom.yaml
        store.store(group="data", name=name, node=node)
    for group, registry in registries().items():
        above = {"defaults": ["none", "_self_"]} if group == "augment" else {}  # the settings of every augmentation
        for name in _without_file(group, [*registry]):
            store.store(group=group, name=name, node={**above, "name": name, **registry.defaults(name)})


def _without_file(group: str, names: Sequence[str]) -> list[str]:
    """Return the names that have no file in ``conf/``."""
    return [name for name in names if not (CONFIG_DIR / group / f"{name}.yaml").is_file()]
