"""What ``hydra/launcher=stacked`` does: it prepares the folder of every job as Hydra does, and trains all at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from mnist_zoo.hydra_app.config_dir import resolved
from mnist_zoo.hydra_app.job_configs import JobConfigs
from mnist_zoo.hydra_app.launching import Failed, reason_of
from mnist_zoo.hydra_app.plan import config_folders, write_job_record
from mnist_zoo.stacked.settings import Choice


def launch(
    context: HydraContext, config: DictConfig, jobs: Sequence[Sequence[str]], first: int, at_once: int
) -> list[JobReturn]:
    """Run jobs, and return what a launcher of Hydra returns.

    Args:
        context: of Hydra.
        config: of the sweep.
        jobs: the overrides of each; the sweep has checked that they can be stacked.
        first: the number of the first.
        at_once: largest number of jobs that train at once.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    compose = JobConfigs(lambda job: context.config_loader.load_sweep_config(config, job))
    prepared = [_prepare(context, compose(job), first + number) for number, job in enumerate(jobs)]
    choices = [_choice(each) for each in prepared]
    from mnist_zoo.stacked.run import run_stacked  # here: with Hydra, no module imports torch at its top

    results = run_stacked(choices, at_once=at_once)
    for each, result in zip(prepared, results, strict=True):
        each.return_value = Failed(reason_of(result)) if isinstance(result, Exception) else result
    return prepared


def _prepare(context: HydraContext, job: DictConfig, number: int) -> JobReturn:
    """Write what Hydra and a sweep record of a job, and return it; its value is not known yet."""
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number
    return run_job(_record, job, "hydra.sweep.dir", "hydra.sweep.subdir", context)


def _choice(prepared: JobReturn) -> Choice:
    assert prepared.cfg is not None and prepared.hydra_cfg is not None  # set by `run_job`
    return Choice(resolved(prepared.cfg), Path(prepared.hydra_cfg.hydra.runtime.output_dir))


def _record(cfg: DictConfig) -> float:
    hydra = HydraConfig.get()
    write_job_record(Path(hydra.runtime.output_dir), hydra.overrides.task, config_folders(hydra))
    return float("nan")
