"""Names of jobs and sweeps, and the resolvers with which ``conf/`` uses them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from mnist_zoo.hydra_app.overrides import top_level_key, values
from mnist_zoo.machine import cores
from mnist_zoo.runs.identity import NEUTRAL

NAME_LENGTH = 120
# These overrides do not change a result, but a sweep over them needs one folder for each value.
NAMED = ("experiment", "logger", "plugins", "speed")
UNNAMED = (*(key for key in NEUTRAL if key not in NAMED), "hydra")


def job_name(overrides: Iterable[str]) -> str:
    """Return the folder name of a job: its sorted overrides, without those that only say where and how to run.

    The name has at most 120 characters, all of which are safe on every file system. If a character was replaced, or
    the name was cut, it ends with a hash of all overrides, so that different jobs have different names.
    """
    named = sorted(override.lstrip("+~") for override in overrides if top_level_key(override) not in UNNAMED)
    full = ",".join(named) or "defaults"
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", full)
    if safe == full and len(full) <= NAME_LENGTH:
        return full
    digest = hashlib.blake2b(full.encode(), digest_size=4).hexdigest()
    return f"{safe[: NAME_LENGTH - 9]}-{digest}"


def sweep_name(overrides: Sequence[Override]) -> str:
    """Return the default name of a sweep: its experiment, or the swept keys, or ``single``.

    The name does not depend on the values, so that a grid with more values continues in the same folder.
    """
    experiments = next((values(override) for override in overrides if override.key_or_group == "experiment"), [])
    swept = sorted(override.key_or_group.replace("/", ".") for override in overrides if override.is_sweep_override())
    return str(experiments[0]) if len(experiments) == 1 else "_".join(swept) or "single"


def register_resolvers() -> None:
    """Let configuration files use ``${mnist_zoo.job_name:...}`` and ``${mnist_zoo.cores:}``."""
    OmegaConf.register_new_resolver("mnist_zoo.job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("mnist_zoo.cores", cores, replace=True)
