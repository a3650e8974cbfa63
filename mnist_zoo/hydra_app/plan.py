"""The plan of a sweep: where each of its jobs is, whether it is finished, and how it differs from what is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_zoo import __version__
from mnist_zoo.files import to_json, write_atomically
from mnist_zoo.hydra_app.config_dir import CONFIG_DIR, resolved
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.overrides import parse, top_level_key
from mnist_zoo.hydra_app.places import JobFolders
from mnist_zoo.hydra_app.unused import require_used
from mnist_zoo.runs import JOB_FILE, DamagedFile, read_job, read_metrics, read_result, read_status
from mnist_zoo.runs.identity import NEUTRAL, comparable, differences
from mnist_zoo.settings import check

Compose = Callable[[Sequence[str]], DictConfig]


@dataclass
class Job:
    """One point of the grid.

    Attributes:
        overrides: as the command line gives them.
        folder: its run folder.
        changes: how the run in the folder differs from the requested one; empty if the folder holds no run.
        finished: whether the folder holds a finished run.
        damage: what is wrong with the metrics of the run in the folder.
    """

    overrides: list[str]
    folder: Path
    changes: list[str]
    finished: bool
    damage: DamagedFile | None = None

    @property
    def launched(self) -> list[str]:
        """The overrides with which Hydra runs the job in its folder, which may have a name of an earlier version."""
        if self.folder.name == job_name(self.overrides):
            return self.overrides
        return [*self.overrides, f"hydra.sweep.subdir='{self.folder.name}'"]


def plan_job(overrides: list[str], folders: JobFolders, current: Current) -> Job:
    """Return the job of these overrides, compared with what is in its folder.

    A job with damaged metrics is not finished. Metrics whose settings are not known count as a change. If there are no
    metrics, the job continues from its checkpoints, whose settings are compared then.
    """
    folder = folders.find(overrides)
    damage, measured, changes, status = None, False, [], {}
    try:
        measured = read_result(folder) is not None
    except DamagedFile as error:
        damage = error
    try:
        status = read_status(folder) or {}
        if "config" in status:
            changes = current.changes(overrides, folder, status)
        elif measured or damage:
            changes = ["its settings are not known: status.json has no configuration"]
    except DamagedFile as error:
        if measured or damage:
            changes = [f"its settings are not known: {error.path.name} is damaged ({error.what})"]
    # A process may have been killed between metrics.json and status.json: the job then only completes its folder.
    return Job(overrides, folder, changes, measured and status.get("state") == "finished", damage)


def metrics_of(folder: Path) -> dict[str, Any] | None:
    """Return the metrics of a job; None if it is not finished, or if they are damaged."""
    try:
        return read_metrics(folder)
    except DamagedFile:
        return None


class Current:
    """Compares the run in a folder with the run that the same overrides give now.

    To compose a configuration takes a tenth of a second, which is long for a sweep of a thousand jobs. If the
    overrides and the files of ``conf/`` are those in the folder's ``job.json``, the configuration is the one in its
    ``status.json``. Only other jobs are composed, and those with interpolations or pretrained weights, which may have
    changed. Data are loaded once for each distinct data configuration.
    """

    def __init__(self, compose: Compose, folders: Sequence[Path] = (CONFIG_DIR,)):
        self._compose, self._folders = compose, tuple(folders)
        self._fingerprints: dict[str, str] = {}

    def changes(self, overrides: Sequence[str], folder: Path, status: Mapping[str, Any]) -> list[str]:
        """Return how the run in `folder` differs: ``key: old -> new`` for each setting, the version and the data."""
        fixed = not any("$" in word for word in overrides) and status["config"].get("pretrained") is None
        unchanged = fixed and _recorded_job(folder) == job_record(overrides, self._folders)
        cfg = None if unchanged else self.config(overrides)
        found = [] if cfg is None else differences(status["config"], comparable(cfg))
        if status["version"] != __version__:
            found.append(f"mnist_zoo: {status['version']} -> {__version__}")
        fingerprint = self._fingerprint(overrides, status["config"]["data"], cfg)
        if not any(change.startswith("data.") for change in found) and fingerprint != status["data_fingerprint"]:
            found.append(f"data: fingerprint {status['data_fingerprint']} -> {fingerprint}")
        return found

    def config(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the configuration of a job: composed, resolved and checked."""
        cfg = resolved(self._compose(overrides))
        check(cfg)
        require_used(parse(overrides), cfg)
        return cfg

    def _fingerprint(self, overrides: Sequence[str], data: Mapping[str, Any], cfg: dict[str, Any] | None) -> str:
        """Return the fingerprint of the data that the job would use now."""
        key = json.dumps([data, sorted(word for word in overrides if top_level_key(word) in ("data", "plugins"))])
        if key not in self._fingerprints:
            from mnist_zoo.data import load_data  # here: it imports torch, which a new sweep need not wait for

            self._fingerprints[key] = load_data(cfg or self.config(overrides)).fingerprint
        return self._fingerprints[key]


def config_folders(hydra: Any) -> tuple[Path, ...]:
    """Return the folders of configuration files: ours, and those of ``--config-dir``.

    Args:
        hydra: the configuration's node ``hydra``.
    """
    sources = OmegaConf.select(hydra, "runtime.config_sources") or []
    found = [source.path for source in sources if source.schema == "file" and source.path]
    return tuple(dict.fromkeys(Path(path) for path in found)) or (CONFIG_DIR,)


def job_record(overrides: Sequence[str], folders: Sequence[Path]) -> dict[str, Any]:
    """Return what determines the configuration of a job: its overrides without neutral ones, and a hash of the files.

    Args:
        overrides: of the job.
        folders: of the configuration files.
    """
    named = sorted(word for word in overrides if top_level_key(word) not in (*NEUTRAL, "hydra"))
    return {"overrides": named, "conf": _conf_digest(tuple(folders))}


def _recorded_job(folder: Path) -> dict[str, Any] | None:
    """Return what `write_job_record` wrote; None if it is damaged, so that the settings are compared one by one."""
    try:
        return read_job(folder)
    except DamagedFile:
        return None


def write_job_record(folder: Path, overrides: Sequence[str], folders: Sequence[Path] = (CONFIG_DIR,)) -> None:
    """Write `job_record` into the folder of a job."""
    write_atomically(folder / JOB_FILE, to_json(job_record(overrides, folders)))


@cache
def _conf_digest(folders: tuple[Path, ...]) -> str:
    """Return a hash of the names and contents of all configuration files."""
    digest = hashlib.blake2b(digest_size=8)
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
