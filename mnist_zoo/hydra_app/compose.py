"""Compose a configuration in Python, as the command line does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.checked import check_overrides
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, compose_unresolved, resolved
from mnist_zoo.hydra_app.explain import explain
from mnist_zoo.hydra_app.overrides import parse, quote_paths
from mnist_zoo.hydra_app.plugin_names import offer_plugin_names
from mnist_zoo.hydra_app.unused import require_used

__all__ = ["CONFIG_DIR", "compose_config", "parsed_words", "require_all_values"]


def compose_config(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the resolved configuration of the given overrides, without the node ``hydra``.

    Raises:
        InputError: if an override is invalid, or a setting has no value. The message is one line.
    """
    overrides = quote_paths(overrides)
    try:
        parsed = parse(overrides)
        check_overrides(parsed, multirun=False)
        offer_plugin_names(parsed)
        cfg = compose_unresolved(overrides)
        require_all_values(cfg)
        plain = resolved(cfg)
        require_used(parsed, plain)
        return plain
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error, overrides)) from error


def parsed_words(words: Sequence[str]) -> list[Override]:
    """Return the parsed words of a command. Raises InputError, of one line, if one is not an override."""
    try:
        return parse(words)
    except HydraException as error:
        raise InputError(explain(error, words)) from error


def require_all_values(cfg: DictConfig) -> None:
    """Raise InputError for the first setting without a value (``???`` in the files of ``conf/``)."""
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise InputError(f"{key} has no value: add {key}=...")
