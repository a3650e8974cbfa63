"""Hydra finds sweepers only in the namespace ``hydra_plugins``: this hands its sweep to `mnist_zoo.sweep`."""

from __future__ import annotations

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from mnist_zoo.hydra_app.sweep import run_sweep


class ResumeSweeper(BasicSweeper):
    """Hydra's own grid, of which only the jobs that are not finished reach the launcher."""

    def sweep(self, arguments: list[str]) -> list[float]:
        """Run the grid; return every job's objective, NaN for a failed one."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (jobs,) = self.split_arguments(overrides, max_batch_size=None)

        def compose(job: list[str]):
            return self.hydra_context.config_loader.load_sweep_config(self.config, list(job))

        def launch(todo: list[list[str]]):
            return self.launcher.launch(todo, initial_job_idx=0)

        return run_sweep(self.config, jobs, compose, launch)
