"""How the trials of a search are suggested.

This module imports Optuna. `mnist_zoo.hydra_app.optuna_search` imports it when a search runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mnist_zoo.hydra_app.genetic import GeneticSampler


class Seeded(optuna.samplers.BaseSampler):
    """One of Optuna's samplers with a new seed for each trial, from the seed of the search and the number of the trial.

    A sampler with a single seed would suggest the same settings in each of several processes that share a study.

    Args:
        make: the class of the sampler.
        seed: of the search.
    """

    def __init__(self, make: Callable[..., optuna.samplers.BaseSampler], seed: int):
        self._make, self._seed = make, seed
        self._sampler = make()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed the sampler for this trial."""
        self._sampler = self._make(seed=random.Random(f"{self._seed} {trial.number}").getrandbits(32))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the settings that the sampler suggests together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the settings that are suggested together."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one setting that is suggested on its own."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the sampler how the trial ended."""
        self._sampler.after_trial(study, trial, state, values)


def sampler(algorithm: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of ``tpe``, ``random`` or ``genetic``. It depends on `seed` and the trials before."""
    if algorithm == "genetic":
        return GeneticSampler(seed)
    make = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    return Seeded(make[algorithm], seed)
