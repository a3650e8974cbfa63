"""Hydra's errors, each as one line that names the mistake and the cure."""

from __future__ import annotations

import difflib
import os
import re
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_zoo.errors import install_command, unknown
from mnist_zoo.files import CURES
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, compose_unresolved
from mnist_zoo.settings.classical import WITHOUT, refusal, without

# Launcher configurations that only a plug-in provides, and the extra of mnist_zoo that installs the plug-in.
LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}


def explain(error: Exception, arguments: Sequence[str]) -> str | None:
    """Return one line about an error of Hydra, OmegaConf or the file system, or None for any other error.

    Args:
        error: what was raised.
        arguments: the arguments of the command line. They tell which groups and folders were chosen.
    """
    if isinstance(error, OSError) and (error.filename or error.errno in CURES):
        return _explain_path(error, arguments)
    if isinstance(error, OverrideParseException):
        return f"'{error.override}' is not an override: write key=value, and quote special characters"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group == "hydra/launcher" and name in LAUNCHER_EXTRAS:
            return f"this launcher needs a package that is not installed: {install_command(LAUNCHER_EXTRAS[name])}"
        if error.options:
            return str(unknown(group, name, error.options))
        if not group:  # --config-name
            return str(unknown("configuration", name, (path.stem for path in CONFIG_DIR.glob("*.yaml"))))
    if isinstance(error, ConfigCompositionException):
        return _explain_override(error, arguments)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return _one_line(error)
    if any(frame.f_globals.get("__name__") == "logging.config" for frame, _ in traceback.walk_tb(error.__traceback__)):
        reasons = ": ".join(_one_line(one) for one in (error, error.__cause__) if one)
        return f"the log cannot be set up ({reasons}): check hydra.job_logging and hydra.hydra_logging"
    return None


def _explain_path(error: OSError, arguments: Sequence[str]) -> str:
    """Return the line for a file that cannot be read or written, with the setting that names its folder."""
    if error.filename is None:  # a full disk, for example, where Hydra writes the configuration
        place = "a file of the output folder cannot be written"
        return f"{place}: {error.strerror}; choose another folder with output_dir=DIR"
    given = dict(word.lstrip("+").partition("=")[::2] for word in arguments if not word.startswith("-"))
    path = Path(os.fsdecode(error.filename)).absolute()
    for key, default in (("data.root", "data"), ("output_dir", "outputs")):
        folder = Path(given.get(key, default).strip("'\"")).absolute()
        if path.is_relative_to(folder) or folder.is_relative_to(path):
            return f"{error.filename}: {error.strerror}; choose another folder with {key}=DIR"
    return f"{error.filename}: {error.strerror}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _explain_override(error: ConfigCompositionException, arguments: Sequence[str]) -> str:
    """Return the line for an override whose key does not exist, or Hydra's own message for other mistakes."""
    found = re.search(r"Could not override '([^']*)'", _one_line(error))
    if not found:
        return _one_line(error)
    if found[1] == "search":
        return "search= is a setting of another command: python -m mnist_zoo.search search=NAME"
    path = re.split(r"[./]", found[1].split("@")[0])
    groups = [a for a in arguments if re.match(r"\w+=[\w-]+$", a) and (CONFIG_DIR / a.split("=")[0]).is_dir()]
    try:
        cfg = compose_unresolved(groups)
        parents, key, settings = _first_unknown(cfg, path)
    except (HydraException, OmegaConfBaseException):
        return _one_line(error)
    exists = key in settings and len(parents) == len(path) - 1  # but not in a job of this sweep with a classical model
    if path[0] in WITHOUT and (exists or path[0] in without(cfg)):
        return str(refusal("a classical model", found[1]))
    if key in settings:
        return _one_line(error)
    if parents:
        return str(unknown(f"setting of {'.'.join(parents)}", key, settings))
    return _unknown_setting(key, settings)


def _first_unknown(cfg: DictConfig, path: Sequence[str]) -> tuple[list[str], str, DictConfig]:
    """Return the first part of a dotted key that does not exist, with the parts and the node above it."""
    node = cfg
    for depth, part in enumerate(path[:-1]):
        if part not in node or not OmegaConf.is_dict(node[part]):
            return list(path[:depth]), part, node
        node = node[part]
    return list(path[:-1]), path[-1], node


def _unknown_setting(key: str, cfg: DictConfig) -> str:
    """Return the line for an unknown top-level setting. The hint includes settings one level below."""
    known = [str(setting) for setting in cfg]
    groups = [group for group in known if OmegaConf.is_dict(cfg[group])]
    near = [f"{group}.{key}" for group in groups if key in cfg[group]]
    near += difflib.get_close_matches(key, known, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"unknown setting '{key}'; {hint}known: {', '.join(known)}"
