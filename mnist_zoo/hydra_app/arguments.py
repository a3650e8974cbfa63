"""Between the command line and Hydra: arguments in, and Hydra's errors out, as one clear line each."""

from __future__ import annotations

import argparse
import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_zoo.errors import InputError, unknown
from mnist_zoo.machine import cores
from mnist_zoo.runs.identity import NEUTRAL
from mnist_zoo.training.settings import check_value

PACKAGE = Path(__file__).parents[1]
# An installed wheel carries conf/ inside the package; in a checkout it stands beside it.
CONFIG_DIR = next(path for path in (PACKAGE / "conf", PACKAGE.parent / "conf") if path.is_dir())

# The plug-ins' own config names, and the extra that installs each.
LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}

NAME_LENGTH = 120
# Overrides that say where and how, not what: a job's folder is not named after them.
_UNNAMED = ("sweep", "output_dir", "debug", "progress", "resume", "on_change", "hydra")


def job_name(overrides: Iterable[str]) -> str:
    """Return a folder name for a job from its overrides: sorted, safe on every file system, at most 120 characters.

    Where a character had to be replaced, or the name cut, a hash of the whole keeps names of different jobs apart.
    """
    named = sorted(o.lstrip("+~") for o in overrides if re.split(r"[.=/]", o.lstrip("+~"))[0] not in _UNNAMED)
    full = ",".join(named) or "defaults"
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", full)
    if safe == full and len(full) <= NAME_LENGTH:
        return full
    digest = hashlib.blake2b(full.encode(), digest_size=4).hexdigest()
    return f"{safe[: NAME_LENGTH - 9]}-{digest}"


OmegaConf.register_new_resolver("job_name", job_name, replace=True)
OmegaConf.register_new_resolver("cores", cores, replace=True)


def prepare(arguments: list[str]) -> list[str]:
    """Return the arguments for Hydra: checked, with a sweep's name added, and a run to resume filled in.

    Raises:
        InputError: for a value that no run could have, a run folder that cannot be resumed, or words that are no
            overrides.
    """
    parser = get_args_parser()
    parser.error = _refuse
    arguments = [_quote(argument) if argument.startswith("resume=") else argument for argument in arguments]
    options = parser.parse_intermixed_args(arguments)
    _require_one_command(options)
    # Hydra's own parser wants all overrides together: options first, then overrides, whatever the order given.
    arguments = [a for a in arguments if a not in options.overrides] + options.overrides
    overrides = _parse(options.overrides)
    by_key = {override.key_or_group: override for override in overrides}
    if "resume" in by_key and by_key["resume"].value() is not None:
        return _resume(str(by_key["resume"].value()), options.overrides, options.multirun)
    for override in overrides:
        for value in _values(override):
            check_value(override.key_or_group, value)
    if options.multirun:
        arguments += _experiment_sweep(by_key)
        if "sweep" not in by_key:
            arguments.append(f"sweep={_sweep_name(overrides)}")
    return arguments


def _require_one_command(options: argparse.Namespace) -> None:
    """Raise InputError for options that Hydra cannot obey together."""
    flags = {"--run": options.run, "--multirun": options.multirun, "--cfg": options.cfg, "--info": options.info}
    flags["--shell-completion"] = options.shell_completion
    given = [flag for flag, value in flags.items() if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} cannot go together: --cfg and --info show a single run, without -m")
    if options.resolve and not (options.cfg or options.help):
        raise InputError("--resolve says how to show a config: add --cfg job")


def _quote(override: str) -> str:
    """Return ``key=path`` as Hydra must read it: run folders have ``=`` and ``,`` in their names."""
    key, _, value = override.partition("=")
    if value in ("", "null") or value[0] in "'\"":
        return override
    return f"{key}='" + value.replace("'", "\\'") + "'"


def _experiment_sweep(by_key: dict[str, Override]) -> list[str]:
    """Return the overrides that let the command line replace what an experiment sweeps.

    Hydra multiplies the two: seven models of the experiment times one of the command line would be seven equal jobs.
    """
    if "experiment" not in by_key or by_key["experiment"].is_sweep_override():
        return []
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("config", [f"experiment={by_key['experiment'].value()}"], return_hydra_config=True)
    params = cfg.hydra.sweeper.params or {}
    if not by_key.keys() & params.keys():
        return []
    kept = [f"{key}={value}" for key, value in params.items() if key not in by_key]
    return ["hydra.sweeper.params=null", *kept]


def require_multirun(experiment: str, params: Iterable[str], overrides: Iterable[str]) -> None:
    """Raise InputError if a single run leaves open what its experiment sweeps.

    Args:
        experiment: its name.
        params: the keys that it sweeps.
        overrides: those of the command line.
    """
    given = {override.key_or_group for override in _parse(list(overrides))}
    missing = [key for key in params if key not in given]
    if missing:
        raise InputError(
            f"experiment={experiment} is a sweep over {', '.join(missing)}: python -m mnist_zoo -m "
            f"experiment={experiment} (with seed=0,1,2 for seeds), or give {' '.join(f'{key}=...' for key in missing)}"
        )


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}; see --help")


def _values(override: Override) -> list:
    """Return every value that an override gives its key: one, or those of a sweep (none of an interval to sample)."""
    if not override.is_sweep_override():
        return [override.value()]
    if not override.is_discrete_sweep():
        return []
    return [_parse([f"x={text}"])[0].value() for text in override.sweep_string_iterator()]


def _parse(overrides: list[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(overrides)


def _sweep_name(overrides: list[Override]) -> str:
    """Return the experiment's name, or the names of what is swept: the same when values are added to the grid."""
    experiment = next((_values(o) for o in overrides if o.key_or_group == "experiment"), [])
    swept = sorted(o.key_or_group.replace("/", ".") for o in overrides if o.is_sweep_override())
    return str(experiment[0]) if len(experiment) == 1 else "_".join(swept) or "single"


def _resume(folder: str, overrides: list[str], multirun: bool) -> list[str]:
    """Return the arguments that continue the run in `folder`: those it was started with, then the new ones."""
    if multirun:
        raise InputError("resume continues one run; to continue a sweep, give its command again")
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"resume={folder}: there is no such folder")
    recorded = path / ".hydra" / "overrides.yaml"
    if not (path / "status.json").is_file() or not recorded.is_file():
        raise InputError(f"resume={folder}: this is not a run folder (it has no status.json and .hydra/)")
    keys = {override.key_or_group for override in _parse(overrides)}
    settings = sorted(key for key in keys if key.split(".")[0] not in (*NEUTRAL, "epochs"))
    if settings:
        raise InputError(f"resume goes on with the settings the run had; only epochs can change, not {settings[0]}")
    before = [o for o in OmegaConf.load(recorded) if _parse([o])[0].key_or_group not in keys]
    new = [o for o in overrides if not o.startswith("resume=")]
    return [*before, *new, _quote(f"resume={path}"), _quote(f"hydra.run.dir={path}")]


def compose_config(overrides: list[str]) -> dict:
    """Return the resolved config that the overrides give, as the command line would compose it.

    Raises:
        InputError: for an override that Hydra refuses, in one line.
    """
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            cfg = compose("config", list(overrides))
        for key in sorted(OmegaConf.missing_keys(cfg)):
            raise InputError(f"{key} has no value: add {key}=...")
        return OmegaConf.to_container(cfg, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error, list(overrides))) from error


def explain(error: Exception, arguments: list[str]) -> str | None:
    """Return one line for an error of Hydra's about the arguments, or None if it is another kind of error."""
    if isinstance(error, OverrideParseException):
        return f"'{error.override}' is not an override: write key=value, and quote what the shell or Hydra would read"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group == "hydra/launcher" and name in LAUNCHER_EXTRAS:
            return (
                f"this launcher needs a package that is not installed: pip install 'mnist_zoo[{LAUNCHER_EXTRAS[name]}]'"
            )
        if error.options:
            return str(unknown(group, name, error.options))
    if isinstance(error, ConfigCompositionException):
        return _explain_override(error, arguments)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return " ".join(str(error).split())
    return None


def _explain_override(error: ConfigCompositionException, arguments: list[str]) -> str:
    words = " ".join(str(error).split())
    found = re.search(r"Could not override '([^']*)'", words)
    if not found:
        return words
    *parents, key = re.split(r"[./]", found[1].split("@")[0])
    if found[1] == "search":
        return "search= is of another command: python -m mnist_zoo.search search=NAME"
    groups = [a for a in arguments if re.match(r"\w+=[\w-]+$", a) and (CONFIG_DIR / a.split("=")[0]).is_dir()]
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            node = compose("config", groups)
        for depth, parent in enumerate(parents):
            if parent not in node or not OmegaConf.is_dict(node[parent]):
                key, parents = parent, parents[:depth]
                break
            node = node[parent]
    except (HydraException, OmegaConfBaseException):
        return words
    settings = list(node)
    where = f" of {'.'.join(parents)}" if parents else ""
    if key in settings:
        return words
    if not parents:  # the nearest may be one level down, as in dropout for model.dropout
        inside = [f"{group}.{name}" for group in settings if OmegaConf.is_dict(node[group]) for name in node[group]]
        near = [name for name in inside if name.split(".")[1] == key]
        near += difflib.get_close_matches(key, settings, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return f"unknown setting '{key}'; {hint}known: {', '.join(settings)}"
    return str(unknown(f"setting{where}", key, settings))
