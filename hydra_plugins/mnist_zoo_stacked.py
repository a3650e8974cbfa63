"""The launcher of mnist_zoo that trains many jobs at once, for Hydra, which finds plug-ins in ``hydra_plugins``.

Hydra imports this module in every Hydra program of the environment. Therefore it imports mnist_zoo only in `launch`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StackedLauncher(Launcher):
    """Trains jobs with equal structure at once, in the process of the sweep.

    Args:
        at_once: largest number of jobs that train at once.
    """

    def __init__(self, at_once: int):
        self._at_once = at_once
        self.hydra_context: HydraContext
        self.config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive from Hydra what a launcher needs; the function that runs one job is not used."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; return the validation accuracy of each, or why it failed."""
        from mnist_zoo.hydra_app.stacking import launch

        return launch(self.hydra_context, self.config, job_overrides, initial_job_idx, self._at_once)
