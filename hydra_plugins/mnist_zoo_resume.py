"""The sweeper of mnist_zoo, for Hydra, which finds plug-ins in the namespace package ``hydra_plugins``.

Hydra imports this module in every Hydra program of the environment. Therefore it imports mnist_zoo only in `sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ResumeSweeper(Sweeper):
    """Expands a grid and launches its unfinished jobs.

    Args:
        params: swept settings of the configuration, such as those of an experiment: ``{"lr": "0.1,0.01"}``.
    """

    def __init__(self, params: Mapping[str, object] | None = None):
        self._params = params or {}
        self.hydra_context: HydraContext
        self.config: DictConfig
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive from Hydra what a sweep needs."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[float]:
        """Run the grid; return the objective of each job, or NaN for a job that failed."""
        from mnist_zoo.hydra_app.job_configs import JobConfigs
        from mnist_zoo.hydra_app.overrides import grid
        from mnist_zoo.hydra_app.sweep import run_sweep

        loader = self.hydra_context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self._params.items()), *arguments])

        compose = JobConfigs(lambda job: loader.load_sweep_config(self.config, job))

        def launch(jobs: Sequence[Sequence[str]], first: int) -> object:
            return self.launcher.launch(jobs, initial_job_idx=first)

        return run_sweep(self.config, grid(overrides), compose, launch)
