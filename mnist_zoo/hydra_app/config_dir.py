"""Where the configuration files are, and how to compose them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

PACKAGE = Path(__file__).parents[1]
# An installed wheel holds conf/ inside the package. A checkout holds it next to the package.
CONFIG_DIR = next(path for path in (PACKAGE / "conf", PACKAGE.parent / "conf") if path.is_dir())
VERSION_BASE = "1.3"  # the version of Hydra whose defaults apply


@cache
def groups() -> tuple[str, ...]:
    """Return the names of the groups: the folders of ``conf/`` whose files are options (``model=cnn``)."""
    return tuple(sorted({path.name for path in CONFIG_DIR.iterdir() if path.is_dir()} - {"hydra", "search"}))


def compose_unresolved(
    overrides: Sequence[str],
    *,
    with_hydra: bool = False,
    folder: Path = CONFIG_DIR,
    name: str = "config",
) -> DictConfig:
    """Return ``conf/config.yaml`` with the overrides applied and interpolations unresolved.

    Args:
        overrides: as on the command line.
        with_hydra: whether to include the node ``hydra``.
        folder: where the configuration is, if it is not ``conf/``.
        name: of the configuration.

    Raises:
        HydraException: if an override is invalid.
    """
    with initialize_config_dir(str(folder.absolute()), version_base=VERSION_BASE):
        return compose(name, list(overrides), return_hydra_config=with_hydra)


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain dicts and lists, with interpolations resolved and without the node ``hydra``."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return cast(dict[str, Any], OmegaConf.to_container(own, resolve=True))
