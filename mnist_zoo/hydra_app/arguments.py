"""The arguments of the command line: parsed, checked and completed before Hydra reads them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.config_dir import compose_unresolved
from mnist_zoo.hydra_app.overrides import parse, top_level_key, values
from mnist_zoo.hydra_app.places import default_sweep
from mnist_zoo.runs.identity import NEUTRAL
from mnist_zoo.training.settings import check_value

# Hydra's options without a value, and those with one, by the name of their attribute after parsing.
SWITCHES = {
    "help": ("--help", "-h"),
    "hydra_help": ("--hydra-help",),
    "resolve": ("--resolve",),
    "run": ("--run", "-r"),
    "multirun": ("--multirun", "-m"),
    "shell_completion": ("--shell-completion", "-sc"),
}
VALUED = {
    "cfg": ("--cfg", "-c"),
    "package": ("--package", "-p"),
    "config_path": ("--config-path", "-cp"),
    "config_name": ("--config-name", "-cn"),
    "config_dir": ("--config-dir", "-cd"),
    "experimental_rerun": ("--experimental-rerun",),
    "info": ("--info", "-i"),
}
SHOWN_CONFIGS = ("job", "hydra", "all")
SHOWN_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's options as attributes, and everything else as ``overrides``. Their order does not matter.

    Raises:
        InputError: if an option is unknown or its value is invalid.
    """
    parser = _Parser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--version", action="version", version=f"Hydra {hydra.__version__}")
    for name, flags in SWITCHES.items():
        parser.add_argument(*flags, dest=name, action="store_true")
    for name, flags in VALUED.items():
        if name == "cfg":
            parser.add_argument(*flags, dest=name, choices=SHOWN_CONFIGS)
        elif name == "info":
            parser.add_argument(*flags, dest=name, choices=SHOWN_INFO, nargs="?", const="all")
        else:
            parser.add_argument(*flags, dest=name)
    return parser.parse_intermixed_args(arguments)


def prepare(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra: checked, with a name for the sweep, or completed to resume a run.

    Raises:
        InputError: if an option or a value is invalid, or a run cannot be resumed.
        OverrideParseException: if a word is not an override.
    """
    options = parse_arguments([_quote(word) if word.startswith("resume=") else word for word in arguments])
    _require_one_command(options)
    overrides = parse(options.overrides)
    by_key = {override.key_or_group: override for override in overrides}
    if "resume" in by_key and by_key["resume"].value() is not None:
        if options.multirun:
            raise InputError("resume continues one run; to continue a sweep, give its command again")
        return [*_options_for_hydra(options), *_resume(str(by_key["resume"].value()), options.overrides)]
    for override in overrides:
        for value in values(override):
            check_value(override.key_or_group, value)
    added = []
    if options.multirun:
        params = _experiment_params(by_key)
        added = _experiment_sweep(params, by_key)
        if "sweep" not in by_key:
            output = by_key["output_dir"].value() if "output_dir" in by_key else compose_unresolved([]).output_dir
            name = default_sweep(overrides, Path(str(output)) / "sweeps", params)
            added.append(f"sweep='{name}'")  # quoted: it may contain = and ,
    # Hydra's parser requires that all overrides stand together: options first.
    return [*_options_for_hydra(options), *options.overrides, *added]


def require_multirun(experiment: str, params: Iterable[str], overrides: Iterable[str]) -> None:
    """Raise InputError if a single run does not fix every setting that its experiment sweeps.

    Args:
        experiment: name of the experiment.
        params: the keys that it sweeps.
        overrides: the overrides of the command line.
    """
    given = {override.key_or_group for override in parse(list(overrides))}
    missing = [key for key in params if key not in given]
    if missing:
        raise InputError(
            f"experiment={experiment} is a sweep over {', '.join(missing)}: python -m mnist_zoo -m "
            f"experiment={experiment} (with seed=0,1,2 for seeds), or give {' '.join(f'{key}=...' for key in missing)}"
        )


def _options_for_hydra(options: argparse.Namespace) -> list[str]:
    """Return the options as words again, in a fixed order."""
    switches = [flags[-1] for name, flags in SWITCHES.items() if getattr(options, name)]
    given = [(flags[0], getattr(options, name)) for name, flags in VALUED.items()]
    return [*switches, *(f"{flag}={value}" for flag, value in given if value is not None)]


def _require_one_command(options: argparse.Namespace) -> None:
    """Raise InputError for options that exclude each other."""
    commands = {"--run": options.run, "--multirun": options.multirun, "--cfg": options.cfg, "--info": options.info}
    commands["--shell-completion"] = options.shell_completion
    given = [flag for flag, value in commands.items() if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} cannot go together: --cfg and --info show a single run, without -m")
    if options.resolve and not (options.cfg or options.help):
        raise InputError("--resolve says how to show a configuration: add --cfg job")


def _quote(override: str) -> str:
    """Return ``key=path`` with the path quoted: names of run folders contain ``=`` and ``,``."""
    key, _, value = override.partition("=")
    if value in ("", "null") or value[0] in "'\"":
        return override
    return f"{key}='" + value.replace("'", "\\'") + "'"


def _experiment_params(by_key: Mapping[str, Override]) -> dict[str, str]:
    """Return what the experiment of the command line sweeps, such as ``{"lr": "0.1,0.01"}``."""
    if "experiment" not in by_key or by_key["experiment"].is_sweep_override():
        return {}
    cfg = compose_unresolved([f"experiment={by_key['experiment'].value()}"], with_hydra=True)
    return dict(cfg.hydra.sweeper.params or {})


def _experiment_sweep(params: Mapping[str, str], by_key: Mapping[str, Override]) -> list[str]:
    """Return the overrides that let the command line replace the values that an experiment sweeps.

    Without them Hydra combines both: seven models of the experiment and one of the command line are seven equal jobs.
    """
    if not by_key.keys() & params.keys():
        return []
    kept = [f"{key}={value}" for key, value in params.items() if key not in by_key]
    return ["hydra.sweeper.params=null", *kept]


def _resume(folder: str, overrides: Sequence[str]) -> list[str]:
    """Return the arguments that continue the run in `folder`: its recorded overrides, then the new ones."""
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"resume={folder}: there is no such folder")
    recorded = path / ".hydra" / "overrides.yaml"
    if not (path / "status.json").is_file() or not recorded.is_file():
        raise InputError(f"resume={folder}: this is not a run folder (it has no status.json and .hydra/)")
    keys = {override.key_or_group for override in parse(overrides)}
    settings = sorted(key for key in keys if top_level_key(key) not in (*NEUTRAL, "epochs"))
    if settings:
        raise InputError(f"a resumed run keeps its settings: only epochs can change, not {settings[0]}")
    old = [str(word) for word in OmegaConf.load(recorded)]
    before = [word for word in old if parse([word])[0].key_or_group not in keys]
    new = [word for word in overrides if not word.startswith("resume=")]
    return [*before, *new, _quote(f"resume={path}"), _quote(f"hydra.run.dir={path}")]
