"""Names of jobs and sweeps, and the resolvers with which ``conf/`` uses them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from mnist_zoo.hydra_app.overrides import grid, top_level_key, values
from mnist_zoo.machine import cores
from mnist_zoo.runs.identity import NEUTRAL, SPLIT_BY_SEED, is_neutral

NAME_LENGTH = 79  # characters of a job's or a sweep's name
RUN_NAME_LENGTH = NAME_LENGTH - len("2026-01-31_12-00-00_")  # the folder of a run starts with its date and time
FORMER_LENGTH = 120  # of jobs up to version 0.2.0
# These overrides do not change a result, but a sweep over them needs one folder for each value.
NAMED = ("experiment", "logger", "plugins", "speed")
UNNAMED = (*(key for key in NEUTRAL if key not in NAMED), "hydra")


def job_name(overrides: Iterable[str], length: int = NAME_LENGTH) -> str:
    """Return the folder name of a job: its sorted overrides, without those that only say where and how to run.

    All characters of the name are safe on every file system. If a character was replaced, or the name was cut, it ends
    with a hash of all overrides, so that different jobs have different names.

    Args:
        overrides: of the job.
        length: the largest number of characters.
    """
    return _safe(_readable(full_name(overrides)), length)


def full_name(overrides: Iterable[str]) -> str:
    """Return the text from which `job_name` makes a name. It is equal for equal jobs."""
    named = sorted(override.lstrip("+~") for override in overrides if top_level_key(override) not in UNNAMED)
    return ",".join(named) or "defaults"


def former_job_name(overrides: Iterable[str]) -> str:
    """Return the name that versions up to 0.2.0 gave to the folder of a job."""
    return _safe(full_name(overrides), FORMER_LENGTH, allow_dot_at_end=True)


def _readable(full: str) -> str:
    """Return a name in which a split that varies with the seed is ``data.split_seed=seed``."""
    for override in SPLIT_BY_SEED:
        full = full.replace(override, "data.split_seed=seed")
    return full


def _safe(full: str, length: int, *, allow_dot_at_end: bool = False) -> str:
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", full)
    if safe.endswith(".") and not allow_dot_at_end:  # Windows drops it
        safe = safe[:-1] + "_"
    if safe == full and len(full) <= length:
        return full
    digest = hashlib.blake2b(full.encode(), digest_size=4).hexdigest()
    return f"{safe[: length - 9]}-{digest}"


def sweep_name(overrides: Sequence[Override]) -> str:
    """Return the default name of a sweep: `former_sweep_name`, then the settings that all its jobs share.

    The name does not depend on the swept values, so that a grid with more values continues in the same folder.
    """
    return _safe(_readable(",".join([former_sweep_name(overrides), *fixed_settings(overrides)])), NAME_LENGTH)


def former_sweep_name(overrides: Sequence[Override]) -> str:
    """Return the experiment, or the swept keys, or ``single``: the default name up to version 0.2.0."""
    experiments = next((values(override) for override in overrides if override.key_or_group == "experiment"), [])
    swept = sorted(override.key_or_group.replace("/", ".") for override in overrides if override.is_sweep_override())
    return str(experiments[0]) if len(experiments) == 1 else "_".join(swept) or "single"


def fixed_settings(overrides: Sequence[Override]) -> list[str]:
    """Return the overrides that are not swept and can change a result, as they stand in the names of jobs, sorted."""
    fixed = [
        override for override in overrides if not override.is_sweep_override() and not is_neutral(override.key_or_group)
    ]
    return sorted(word.lstrip("+~") for word in grid(fixed)[0])


def register_resolvers() -> None:
    """Let configuration files use ``${mnist_zoo.job_name:...}``, ``run_name`` and ``${mnist_zoo.cores:}``."""
    OmegaConf.register_new_resolver("mnist_zoo.job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("mnist_zoo.run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("mnist_zoo.cores", cores, replace=True)


def run_name(overrides: Iterable[str]) -> str:
    """Return the part of a run folder's name after date and time, as `job_name` does."""
    return job_name(overrides, RUN_NAME_LENGTH)
