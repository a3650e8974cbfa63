"""The arguments of the command line: parsed, checked and completed before Hydra reads them."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from hydra.core.override_parser.types import Override

from mnist_zoo import __version__
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.checked import check_overrides
from mnist_zoo.hydra_app.compose import require_all_values
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, compose_unresolved, resolved
from mnist_zoo.hydra_app.overrides import parse, quote_paths
from mnist_zoo.hydra_app.places import default_sweep
from mnist_zoo.hydra_app.plugin_names import offer_plugin_names
from mnist_zoo.hydra_app.resume import resumed
from mnist_zoo.hydra_app.unused import require_used
from mnist_zoo.settings import check

# Hydra's options without a value, and those with one, by the name of their attribute after parsing. One is missing:
# --experimental-rerun loads a pickle, which can run code; resume= continues a run.
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
    "info": ("--info", "-i"),
}
SHOWN_CONFIGS = ("job", "hydra", "all")
SHELLS = ("bash", "fish", "zsh")
SHOWN_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's options as attributes, and everything else as ``overrides``. Their order does not matter.

    Raises:
        InputError: if an option is unknown or its value is invalid.
    """
    parser = _Parser(add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--version", action="version", version=versions())
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


def versions() -> str:
    """Return the versions of this library, of Python and of what it builds on (not imported), one on each line."""
    found = [f"mnist_zoo {__version__}", f"Python {platform.python_version()}"]
    for name in ("torch", "pytorch-lightning", "hydra-core"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # such as a torch that was built without metadata
            found.append(f"{name} of an unknown version")
    return "\n".join(found)


def prepare(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra: checked, with a name for the sweep, or completed to resume a run.

    Raises:
        InputError: if an option or a value is invalid, or a run cannot be resumed.
        OverrideParseException: if a word is not an override.
    """
    options = parse_arguments(quote_paths(arguments))
    _require_one_command(options)
    _find_folders(options)
    if options.shell_completion:
        _check_completion(options.overrides)
        return [*_options_for_hydra(options), *options.overrides]
    words = list(options.overrides)
    run = next((one.value() for one in parse(words) if one.key_or_group == "resume" and not one.is_delete()), None)
    if run is not None:
        if options.multirun:
            raise InputError("resume continues one run; to continue a sweep, give its command again")
        words = resumed(str(run), words)
    overrides = parse(words)
    check_overrides(overrides, multirun=options.multirun)
    by_key = {override.key_or_group: override for override in overrides}
    offer_plugin_names(overrides)
    added = []
    if options.multirun:
        params = _experiment_params(by_key, options.config_dir)
        added = _experiment_sweep(params, by_key)
        if "sweep" not in by_key:
            output = by_key["output_dir"].value() if "output_dir" in by_key else compose_unresolved([]).output_dir
            name = default_sweep(overrides, Path(str(output)) / "sweeps", params)
            added.append(f"sweep='{name}'")  # quoted: it may contain = and ,
    elif not (options.help or options.hydra_help or options.info):
        _check_configuration(options, words)
    # Hydra's parser requires that all overrides stand together: options first.
    return [*_options_for_hydra(options), *words, *added]


def _find_folders(options: argparse.Namespace) -> None:
    """Make the folders of configuration files absolute; Hydra would look for them below the package."""
    for name in ("config_path", "config_dir"):
        given = getattr(options, name)
        if given is not None and not Path(given).is_dir():
            raise InputError(f"{given}: there is no such folder of configuration files")
        if given is not None:
            setattr(options, name, str(Path(given).absolute()))


def _check_configuration(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Compose the configuration of a single run, and check it before Hydra creates its folder."""
    folder = Path(options.config_path or CONFIG_DIR)
    cfg = compose_unresolved(
        [*_further(options.config_dir), *words], folder=folder, name=options.config_name or "config"
    )
    if not options.cfg:
        require_all_values(cfg)
    plain = resolved(cfg)
    check(plain)
    require_used(parse(options.overrides), plain)  # the words of a run that is resumed were accepted when it began


def _further(config_dir: str | None) -> list[str]:
    """Return the override that lets configuration files be found in a folder of the user, too."""
    return [f"hydra.searchpath=['file://{config_dir}']"] if config_dir else []


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
    if options.hydra_help and options.overrides:
        raise InputError(f"--hydra-help shows Hydra's help, and takes no settings such as {options.overrides[0]}")
    if options.resolve and not (options.cfg or options.help):
        raise InputError("--resolve says how to show a configuration: add --cfg job")


def _check_completion(words: Sequence[str]) -> None:
    """Raise InputError unless the words say what to do about the shell's completion."""
    actions = [f"{action}={shell}" for action in ("install", "uninstall", "query") for shell in SHELLS]
    if len(words) != 1 or words[0] not in actions:
        raise InputError("--shell-completion takes one word: install=bash, or uninstall=bash (also fish and zsh)")
    if words[0].startswith("query") and not {"COMP_LINE", "COMP_POINT"} <= os.environ.keys():
        raise InputError(f"{words[0]}: only the shell's own completion asks this; install it with install=bash")


def _experiment_params(by_key: Mapping[str, Override], config_dir: str | None) -> dict[str, str]:
    """Return what the experiment of the command line sweeps, such as ``{"lr": "0.1,0.01"}``."""
    if "experiment" not in by_key or by_key["experiment"].is_sweep_override():
        return {}
    cfg = compose_unresolved([*_further(config_dir), f"experiment={by_key['experiment'].value()}"], with_hydra=True)
    return dict(cfg.hydra.sweeper.params or {})


def _experiment_sweep(params: Mapping[str, str], by_key: Mapping[str, Override]) -> list[str]:
    """Return the overrides that let the command line replace the values that an experiment sweeps.

    Without them Hydra combines both: seven models of the experiment and one of the command line are seven equal jobs.
    """
    if not by_key.keys() & params.keys():
        return []
    kept = [f"{key}={value}" for key, value in params.items() if key not in by_key]
    return ["hydra.sweeper.params=null", *kept]
